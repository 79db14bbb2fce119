package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// accounts is between how many money moves; each has a partition.
const accounts = 8

// transfer are the two records of a transaction that moves money: what one account
// loses, another gets. They say so themselves, for whoever reads the log.
func (t *transactor) transfer(txn string) []Event {
	from := t.random.IntN(accounts)
	to := (from + 1 + t.random.IntN(accounts-1)) % accounts
	amount := 1 + t.random.Int64N(100)
	half := func(i, account int, amount int64) Event {
		name := fmt.Sprintf("account-%d", account)
		return Event{
			Topic: t.names.bank, Partition: int32(account % partitionsOfTopic), Txn: txn, Account: name, Amount: amount,
			Value: fmt.Sprintf("%s#%d %s %+d", txn, i, name, amount),
		}
	}
	return []Event{half(0, from, -amount), half(1, to, amount)}
}

// An owner knows who has a transactional id that several take from each other.
type owner struct {
	mu      sync.Mutex
	session string
	epoch   int16
}

// takeover says who has lost the id now that a session was granted an epoch: whoever
// had it, or the session itself if another was granted a newer one meanwhile.
func (o *owner) takeover(session string, epoch int16) (lost string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session != "" && epoch < o.epoch {
		return session
	}
	lost = o.session
	o.session, o.epoch = session, epoch
	return lost
}

// Who lost its transactional id to another instance lets that one work for a while,
// before it takes the id back.
const fenceRest = 500 * time.Millisecond

// rest waits until a client whose id is shared may take it, again.
func (t *transactor) rest(ctx context.Context) {
	wait := time.NewTimer(t.pause(time.Duration(t.random.Int64N(int64(fenceRest)))))
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

// pollTime bounds one poll in a transaction, pollRecords what it may give.
const (
	pollTime    = 20 * time.Millisecond
	pollRecords = 20
	pollBehind  = 50 // how far behind the end a session begins to read
)

// reader makes the consumer of a session whose transactions read too. Jepsen's
// list-append over Kafka has such transactions: sends and polls of the same logs.
func (t *transactor) reader(one *life) (*kgo.Client, error) {
	from := make(map[int32]kgo.Offset)
	for p := range int32(partitionsOfTopic) {
		from[p] = kgo.NewOffset().AtEnd().Relative(-pollBehind)
	}
	return t.client(append(one.options(t.dialAgain), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.names.transactions: from}))...)
}

// poll reads a little, in a transaction.
func (t *transactor) poll(ctx context.Context, reader *kgo.Client, session, txn string) {
	ctx, cancel := context.WithTimeout(ctx, t.pause(pollTime))
	defer cancel()
	reader.PollRecords(ctx, pollRecords).EachRecord(func(r *kgo.Record) {
		e := recordEvent(Poll, session, true, r)
		e.Txn = txn
		t.recorder.Add(e)
	})
}

// How long a member stays that comes and goes.
const (
	stayLeast = time.Second
	stayMore  = 2 * time.Second
)

// comeAndGo consumes as a member that leaves its group after a short while, and comes
// back as another.
func (l *Load) comeAndGo(ctx context.Context, process string) error {
	random := l.random(process)
	return l.sessions(ctx, process, func(name string, one *life) error {
		stay := time.AfterFunc(l.pause(stayLeast+time.Duration(random.Int64N(int64(stayMore)))), one.leave)
		defer stay.Stop()
		return l.consumeSession(name, one)
	})
}
