package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// beforeKIP890 are the versions of a client that speaks the first transaction
// protocol.
func beforeKIP890() *kversion.Versions { return kversion.V3_8_0() }

// produce writes with an idempotent producer, several requests in flight. Where
// perSession is above 0 the client is dropped after that many records, with
// whatever is in flight, and another takes its place.
func (l *Load) produce(ctx context.Context, process string, perSession int) error {
	random := l.random(process)
	return sessions(ctx, process, func(name string) error {
		client, err := l.client(kgo.MaxBufferedRecords(100))
		if err != nil {
			return err
		}
		defer client.Close()
		if l.granted(ctx, client, name) != nil {
			return nil
		}
		sent := 0
		paced(ctx, 3*time.Millisecond, func() bool {
			for range 1 + random.IntN(4) {
				value := fmt.Sprintf("%s#%d", name, sent)
				l.send(ctx, client, name, Event{Topic: plainTopic, Partition: random.Int32N(partitionsOfTopic), Value: value}, func(error) {})
				sent++
			}
			return perSession == 0 || sent < perSession
		})
		return nil
	})
}

// transact runs transactions one after the other. After a failure, and now and
// then without one, a new client takes over the transactional id, as a
// restarted application would.
func (l *Load) transact(ctx context.Context, id string, options ...kgo.Opt) error {
	random := l.random(id)
	options = append(options, kgo.TransactionalID("verify-"+id), kgo.TransactionTimeout(l.options.TransactionTimeout))
	return sessions(ctx, id, func(name string) error {
		client, err := l.client(options...)
		if err != nil {
			return err
		}
		defer client.Close()
		if l.granted(ctx, client, name) != nil {
			return nil
		}
		n := 0
		paced(ctx, 10*time.Millisecond, func() bool {
			n++
			return l.transaction(ctx, client, name, fmt.Sprintf("%s/%d", name, n), random)
		})
		return nil
	})
}

// transaction writes a few records to several partitions and ends the
// transaction, or leaves it. It says whether the client is good for another.
func (l *Load) transaction(ctx context.Context, client *kgo.Client, session, txn string, random *rand.Rand) bool {
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	choice := random.IntN(100)
	var failed error
	var mu sync.Mutex
	for i := range 1 + random.IntN(6) {
		e := Event{Topic: txnTopic, Partition: random.Int32N(partitionsOfTopic), Value: fmt.Sprintf("%s#%d", txn, i), Txn: txn}
		l.send(ctx, client, session, e, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
		})
	}
	if choice < 5 {
		// Aborted with records in flight.
		return client.AbortBufferedRecords(ctx) == nil && l.end(ctx, client, session, txn, kgo.TryAbort)
	}
	if err := client.Flush(ctx); err != nil {
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case failed != nil:
		l.end(ctx, client, session, txn, kgo.TryAbort)
		return false
	case choice < 12, ctx.Err() != nil:
		return false // left open: the next session, or the timeout, aborts it
	}
	return l.end(ctx, client, session, txn, choice >= 30)
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
