package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	id        string // begins the names of its sessions
	name      string // its transactional id
	partition int32
	position  int64
	random    *rand.Rand
	tv1       bool                     // speaks the first transaction protocol only (before KIP-890)
	hasty     bool                     // gives up when a broker is away, and never knows
	polls     bool                     // its transactions read, too
	aborting  bool                     // commits one in ten
	owner     *owner                   // who has the id, if another instance takes it too
	records   func(txn string) []Event // of a transaction
	took      chan struct{}            // closed when the next session has the id
}

// noOffsets is the partition of a transactor that commits none.
const noOffsets = -1

// transact is the work of a transactor; set makes it a special one.
func (l *Load) transact(set func(*transactor)) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		t := &transactor{Load: l, id: id, name: l.options.Name + "-" + id, partition: noOffsets, random: l.random(id), took: make(chan struct{})}
		t.records = t.several
		set(t)
		return t.run(ctx)
	}
}

// clients are the options of its clients.
func (t *transactor) clients(one *life) []kgo.Opt {
	options := []kgo.Opt{kgo.TransactionalID(t.name), kgo.TransactionTimeout(t.options.TransactionTimeout)}
	if t.tv1 {
		options = append(options, kgo.MaxVersions(kversion.V3_8_0()))
	}
	if t.hasty {
		options = append(options, kgo.Dialer(one.dial(t.options.Dial)))
	}
	return options
}

// run runs transactions one after the other. After a failure, and now and then
// without one, a new client takes over the transactional id, as a restarted
// application would.
func (t *transactor) run(ctx context.Context) error {
	return t.sessions(ctx, t.id, func(name string, one *life) error {
		one.copies = !t.tv1 // which has no defence against them (KIP-890)
		if t.owner != nil {
			t.rest(one.ctx)
		}
		client, err := t.clientOf(one, t.clients(one)...)
		if err != nil {
			return err
		}
		var reader *kgo.Client
		if t.polls {
			if reader, err = t.reader(one); err != nil {
				return err
			}
			defer reader.Close()
		}
		if !t.take(one, client, name) {
			return nil
		}
		n := 0
		t.paced(one.ctx, 10*time.Millisecond, func() bool {
			n++
			return t.transaction(one, client, reader, name, fmt.Sprintf("%s/%d", name, n))
		})
		return nil
	})
}

// take takes the transactional id over, and says whether that was granted.
func (t *transactor) take(one *life, client *kgo.Client, session string) bool {
	epoch, err := t.grantedEpoch(one.ctx, client, session)
	if err != nil {
		return false
	}
	if t.owner != nil {
		if lost := t.owner.takeover(session, epoch); lost != "" {
			t.recorder.Add(Event{Kind: Zombie, Process: lost})
		}
	}
	close(t.took)
	t.took = make(chan struct{})
	return true
}

// several are up to six records for any partitions.
func (t *transactor) several(txn string) []Event {
	all := make([]Event, 1+t.random.IntN(6))
	for i := range all {
		all[i] = Event{Topic: t.names.transactions, Partition: t.random.Int32N(partitionsOfTopic), Value: fmt.Sprintf("%s#%d", txn, i), Txn: txn}
	}
	return all
}

// choose draws how a transaction ends: below 5 it is aborted with records in flight,
// below 12 left open, below 30 aborted, else committed.
func (t *transactor) choose() int {
	if t.aborting {
		return t.random.IntN(33)
	}
	return t.random.IntN(100)
}

// transaction writes a few records to several partitions, and offsets, and ends
// the transaction, or leaves it. It says whether the client is good for another.
func (t *transactor) transaction(one *life, client, reader *kgo.Client, session, txn string) bool {
	ctx := one.ctx
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	choice, offsets, records := t.choose(), t.random.IntN(2) == 0 && t.partition != noOffsets, t.records(txn)
	results := make(chan error, len(records))
	if reader != nil && t.random.IntN(2) == 0 {
		t.poll(ctx, reader, session, txn)
	}
	for _, e := range records {
		t.send(ctx, client, session, e, func(err error) { results <- err })
	}
	if choice < 5 {
		// Aborted with records in flight.
		return client.AbortBufferedRecords(ctx) == nil && t.end(ctx, client, session, txn, kgo.TryAbort)
	}
	var failed error
	for range records {
		failed = errors.Join(failed, <-results)
	}
	if reader != nil {
		t.poll(ctx, reader, session, txn)
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
		if one.chance(0.5) {
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
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = t.name, id, epoch, true
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
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = t.name, id, epoch, t.names.offsets
		resp, err := add.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = t.name, id, epoch, t.names.offsets, -1
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
