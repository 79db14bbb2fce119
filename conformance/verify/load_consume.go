package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member are the options of a group member that comes back quickly.
func (l *Load) member(one *life, group, topic string, options ...kgo.Opt) []kgo.Opt {
	return append(slices.Concat(l.patient(), one.options(l.dialAgain), options),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.SessionTimeout(6*time.Second), kgo.RebalanceTimeout(5*time.Second),
		kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// transform consumes committed records, makes one of each and commits both in
// one transaction, as a member of a group. It fetches little of a partition at a time:
// a client takes all that it has of one before it looks at the next, and a backlog
// would have the others wait for longer than they may.
func (l *Load) transform(ctx context.Context, process string) error {
	return l.sessions(ctx, process, func(name string, one *life) error {
		ctx := one.ctx
		one.copies = true
		s, err := kgo.NewGroupTransactSession(l.member(one, l.names.pipe, l.names.transactions,
			kgo.TransactionalID(l.options.Name+"-"+process), kgo.TransactionTimeout(l.options.TransactionTimeout),
			kgo.FetchMaxPartitionBytes(16<<10))...)
		if err != nil {
			return err
		}
		one.adopt(s.Client())
		if l.granted(ctx, s.Client(), name) == nil {
			for n := 0; l.transformOnce(ctx, s, name, fmt.Sprintf("%s/%d", name, n)); n++ {
			}
		}
		return nil
	})
}

// transformOnce is one transaction of a pipeline. It says whether the session
// is good for another.
func (l *Load) transformOnce(ctx context.Context, s *kgo.GroupTransactSession, session, txn string) bool {
	fetches := s.PollRecords(ctx, 50)
	if ctx.Err() != nil {
		return false
	}
	if fetches.NumRecords() == 0 {
		return true
	}
	if s.Begin() != nil {
		return false
	}
	i, failed := 0, make(chan error, fetches.NumRecords())
	fetches.EachRecord(func(r *kgo.Record) {
		e := Event{Topic: l.names.derived, Partition: r.Partition, Value: fmt.Sprintf("%s#%d", txn, i), Source: string(r.Value), Txn: txn}
		l.send(ctx, s.Client(), session, e, func(err error) { failed <- err })
		i++
	})
	var bad bool
	for range i {
		bad = <-failed != nil || bad
	}
	for topic, partitions := range s.Client().UncommittedOffsets() {
		for partition, at := range partitions {
			l.recorder.Add(Event{Kind: Include, Process: session, Txn: txn, Group: l.names.pipe, Topic: topic, Partition: partition, Offset: at.Offset})
		}
	}
	l.recorder.Add(Event{Kind: End, Process: session, Txn: txn, Commit: !bad})
	committed, err := s.End(ctx, kgo.TransactionEndTry(!bad))
	l.ended(session, txn, committed, err)
	return err == nil
}

// consume reads as a member of a group that commits by itself.
func (l *Load) consume(ctx context.Context, process string) error {
	return l.sessions(ctx, process, l.consumeSession)
}

func (l *Load) consumeSession(name string, one *life) error {
	client, err := kgo.NewClient(l.member(one, l.names.readers, l.names.plain)...)
	if err != nil {
		return err
	}
	one.adopt(client)
	for one.ctx.Err() == nil {
		l.consumeOnce(one.ctx, client, name)
	}
	return nil
}

// consumeOnce reads a little and commits how far.
func (l *Load) consumeOnce(ctx context.Context, client *kgo.Client, process string) {
	client.PollRecords(ctx, 200)
	offsets := client.UncommittedOffsets()
	if len(offsets) == 0 || ctx.Err() != nil {
		return
	}
	var asked []Event
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			e := Event{Kind: Commit, Process: process, Group: l.names.readers, Topic: topic, Partition: partition, Offset: at.Offset}
			l.recorder.Add(e)
			asked = append(asked, e)
		}
	}
	if l.commit(ctx, client, offsets) != nil {
		return
	}
	for _, e := range asked {
		e.Kind = Committed
		l.recorder.Add(e)
	}
}

// follow reads every partition of every topic as it grows.
func (l *Load) follow(ctx context.Context, process string, isolation kgo.IsolationLevel) error {
	stable := isolation == kgo.ReadCommitted()
	options := []kgo.Opt{kgo.FetchIsolationLevel(isolation), kgo.ConsumePartitions(fromStart(l.names.topics)), kgo.ConsumeResetOffset(kgo.NoResetOffset())}
	if !stable {
		options = append(options, kgo.KeepControlRecords())
	}
	client, err := l.client(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		l.noteLosses(process, stable, fetches)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Err != nil {
				return
			}
			l.recorder.Add(Event{Kind: Watermark, Process: process, Topic: p.Topic, Partition: p.Partition,
				HighWatermark: p.HighWatermark, LastStable: p.LastStableOffset, Start: max(p.LogStartOffset, 0)})
			for _, r := range p.Records {
				l.recorder.Add(recordEvent(Read, process, stable, r))
			}
		})
	}
	return nil
}

// fromStart is the beginning of every partition of some topics of the load.
func fromStart(topics []string) map[string]map[int32]kgo.Offset {
	all := make(map[string]map[int32]kgo.Offset)
	for _, topic := range topics {
		all[topic] = make(map[int32]kgo.Offset)
		for p := range int32(partitionsOfTopic) {
			all[topic][p] = kgo.NewOffset().At(0)
		}
	}
	return all
}

// recordEvent is a record as a reader was given it.
func recordEvent(kind Kind, process string, stable bool, r *kgo.Record) Event {
	e := Event{Kind: kind, Process: process, Stable: stable, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		ProducerID: r.ProducerID, Epoch: r.ProducerEpoch, Transactional: r.Attrs.IsTransactional(), Control: r.Attrs.IsControl()}
	if e.Control {
		e.Commit = isCommitMarker(r.Key)
		return e
	}
	e.Value, e.Source = string(r.Value), string(r.Key)
	return e
}

// isCommitMarker reads the key of a control record: version, type; 1 is COMMIT
// (KIP-98).
func isCommitMarker(key []byte) bool { return len(key) >= 4 && key[2] == 0 && key[3] == 1 }

// noteLosses records what a reader noticed of data that is gone. All other
// errors of fetches are of a broker that is away: clients try again.
//
// franz-go remembers the leader epoch of the last record that it gave out, not
// of the last that it passed over (kgo/source.go, lastConsumedEpoch). So a
// reader of committed data behind aborted records of a newer epoch takes the
// end of the older one for a loss; it goes back over those records only, and
// what it gives out is right. Only what a reader of all records notices counts.
func (l *Load) noteLosses(process string, stable bool, fetches kgo.Fetches) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var lost *kgo.ErrDataLoss
		if errors.As(err, &lost) && !stable || errors.Is(err, kerr.OffsetOutOfRange) {
			l.recorder.Add(Event{Kind: Loss, Process: process, Topic: topic, Partition: partition, Error: err.Error()})
		}
	})
}

// commit commits offsets and returns the first error of any partition.
func (l *Load) commit(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) error {
	var failure error
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failure = err
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				failure = errors.Join(failure, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	return failure
}
