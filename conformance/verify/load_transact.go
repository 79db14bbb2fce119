package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// A transactor is an application with a transactional id. Beside records its
// transactions hold offsets of a group, one higher each time, on a partition of
// its own, if it has one.
type transactor struct {
	*Load
	id        string // also begins the names of its sessions
	partition int32
	position  int64
	random    *rand.Rand
	clients   []kgo.Opt     // of its clients
	tv1       bool          // speaks the first transaction protocol only (before KIP-890)
	hasty     bool          // gives up when a broker is away, and never knows
	took      chan struct{} // closed when the next session has the id
}

// noOffsets is the partition of a transactor that commits none.
const noOffsets = -1

func (l *Load) transactor(partition int32, id string, tv1, hasty bool) *transactor {
	options := []kgo.Opt{kgo.TransactionalID(l.options.Name + "-" + id), kgo.TransactionTimeout(l.options.TransactionTimeout)}
	if tv1 {
		options = append(options, kgo.MaxVersions(kversion.V3_8_0()))
	}
	return &transactor{Load: l, id: id, partition: partition, random: l.random(id), clients: options, tv1: tv1, hasty: hasty, took: make(chan struct{})}
}

// run runs transactions one after the other. After a failure, and now and then
// without one, a new client takes over the transactional id, as a restarted
// application would.
func (t *transactor) run(ctx context.Context) error {
	return t.sessions(ctx, t.id, func(name string, one *life) error {
		one.copies = !t.tv1 // which has no defence against them (KIP-890)
		options := t.clients
		if t.hasty {
			options = append(slices.Clone(options), kgo.Dialer(one.dial(t.options.Dial)))
		}
		client, err := t.clientOf(one, options...)
		if err != nil {
			return err
		}
		if t.granted(one.ctx, client, name) == nil {
			close(t.took)
			t.took = make(chan struct{})
			n := 0
			t.paced(one.ctx, 10*time.Millisecond, func() bool {
				n++
				return t.transaction(one, client, name, fmt.Sprintf("%s/%d", name, n))
			})
		}
		return nil
	})
}

// transaction writes a few records to several partitions, and offsets, and ends
// the transaction, or leaves it. It says whether the client is good for another.
func (t *transactor) transaction(one *life, client *kgo.Client, session, txn string) bool {
	ctx := one.ctx
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	choice, offsets, count := t.random.IntN(100), t.random.IntN(2) == 0 && t.partition != noOffsets, 1+t.random.IntN(6)
	results := make(chan error, count)
	for i := range count {
		e := Event{Topic: t.names.transactions, Partition: t.random.Int32N(partitionsOfTopic), Value: fmt.Sprintf("%s#%d", txn, i), Txn: txn}
		t.send(ctx, client, session, e, func(err error) { results <- err })
	}
	if choice < 5 {
		// Aborted with records in flight.
		return client.AbortBufferedRecords(ctx) == nil && t.end(ctx, client, session, txn, kgo.TryAbort)
	}
	var failed error
	for range count {
		failed = errors.Join(failed, <-results)
	}
	if offsets && failed == nil {
		failed = t.include(ctx, client, session, txn)
	}
	switch {
	case failed != nil:
		t.end(ctx, client, session, txn, kgo.TryAbort)
		return false
	case one.mishap(t.options.Zombies):
		t.stop(one, client, session, txn)
		return false
	case choice < 12, ctx.Err() != nil:
		return false // left open: the next session, or the timeout, aborts it
	}
	return t.end(ctx, client, session, txn, choice >= 30)
}

// stop stops a client in the middle of its transaction, with a record on its way.
// When another client has taken over it goes on, as after a long pause of its
// process: nothing of what it does then may have an effect (KIP-98).
func (t *transactor) stop(one *life, client *kgo.Client, session, txn string) {
	id, epoch, err := client.ProducerID(one.ctx) // as the transaction began
	if err != nil {
		return
	}
	one.kept = true
	one.freeze()
	took, record := t.took, Event{Topic: t.names.transactions, Partition: t.random.Int32N(partitionsOfTopic), Txn: txn}
	t.writers.run(one.ctx, func(ctx context.Context) error {
		defer one.end()
		sent := make(chan error, 2)
		record.Value = txn + "#late"
		t.send(ctx, client, session, record, func(err error) { sent <- err })
		select {
		case <-took:
		case <-ctx.Done():
			one.thaw()
			return nil
		}
		<-time.After(one.upTo(zombieWithin))
		t.recorder.Add(Event{Kind: Zombie, Process: session, Txn: txn})
		one.thaw()
		ctx, cancel := context.WithTimeout(ctx, zombieTime)
		defer cancel()
		on := 1
		if one.chance(2) {
			record.Value = txn + "#zombie"
			t.send(ctx, client, session, record, func(err error) { sent <- err })
			on++
		}
		for range on {
			select {
			case <-sent:
			case <-ctx.Done():
			}
		}
		t.insist(ctx, client, session, txn, id, epoch)
		return nil
	})
}

// insist asks to commit, by a request of its own: the client, once it was refused,
// would not ask.
func (t *transactor) insist(ctx context.Context, client *kgo.Client, session, txn string, id int64, epoch int16) {
	t.recorder.Add(Event{Kind: End, Process: session, Txn: txn, Commit: true})
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = t.options.Name+"-"+t.id, id, epoch, true
	var err error
	t.eventually(ctx, zombieTime, func(ctx context.Context) bool {
		var resp *kmsg.EndTxnResponse
		if resp, err = end.RequestWith(ctx, client); err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		return !errors.Is(err, kerr.ConcurrentTransactions) && !errors.Is(err, kerr.NotCoordinator)
	})
	t.ended(session, txn, true, err)
}

// include puts the next offset into the transaction, by requests of its own: the
// client does that only as a member of a group, and only when it commits.
func (t *transactor) include(ctx context.Context, client *kgo.Client, session, txn string) error {
	id, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return err
	}
	t.position++
	t.recorder.Add(Event{Kind: Include, Process: session, Txn: txn, Group: t.names.offsets, Topic: t.names.plain, Partition: t.partition, Offset: t.position})
	if add := kmsg.NewPtrAddOffsetsToTxnRequest(); t.tv1 {
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = t.options.Name+"-"+t.id, id, epoch, t.names.offsets
		resp, err := add.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = t.options.Name+"-"+t.id, id, epoch, t.names.offsets, -1
	topic, partition := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Partition, partition.Offset = t.partition, t.position
	topic.Topic, topic.Partitions = t.names.plain, append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	resp, err := commit.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return err
}

// end ends a transaction and says whether it is known how.
func (l *Load) end(ctx context.Context, client *kgo.Client, session, txn string, how kgo.TransactionEndTry) bool {
	l.recorder.Add(Event{Kind: End, Process: session, Txn: txn, Commit: bool(how)})
	err := client.EndTransaction(ctx, how)
	l.ended(session, txn, bool(how), err)
	return err == nil
}

// ended records how a transaction ended, or why that is not known.
func (l *Load) ended(session, txn string, committed bool, err error) {
	e := Event{Kind: Ended, Process: session, Txn: txn, Commit: committed}
	if err != nil {
		e.Kind, e.Commit, e.Error = Unsure, false, err.Error()
	}
	l.recorder.Add(e)
}
