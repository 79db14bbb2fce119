package txn

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// Promise 14: the abort of a transaction whose time is over does not hang on one
// read of the log that failed at that moment.
func TestTimeoutOutlivesAFailedRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		p := w.init("a")
		if err := w.add("a", p, orders(0)); err != nil {
			t.Fatal(err)
		}
		d, err := w.c.Describe(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 100*time.Millisecond)
		w.p.FailReads(2) // the shard's own, and the one at the timeout
		w.put("a", &d)
		time.Sleep(1100 * time.Millisecond)
		if s := w.state("a"); s != CompleteAbort {
			t.Errorf("state %v a second after the timeout", s)
		}
	})
}

// A slowPartition takes its time for each append.
type slowPartition struct {
	*shardtest.Partition
	delay time.Duration
}

func (p slowPartition) Append(ctx context.Context, b record.Batch, opts shard.AppendOptions) (int64, error) {
	time.Sleep(p.delay)
	return p.Partition.Append(ctx, b, opts)
}

// Promise 14 also holds while many transactional ids expire on a slow disk.
func TestExpiryHoldsNoTimeoutUp(t *testing.T) {
	change := func(c *Config) { c.IDExpiration, c.IDExpiryInterval = time.Hour, time.Hour }
	bubble(t, change, func(t *testing.T, w *world) {
		w.c.Close()
		w.c = New(w.cfg)
		w.c.Lead(0, slowPartition{w.p, 10 * time.Millisecond})
		began := time.Now()
		for i := range 500 {
			w.init(fmt.Sprint("idle", i))
		}
		time.Sleep(time.Until(began.Add(2*time.Hour + time.Second - time.Minute))) // the second turn of the expiry lasts 5 s
		if err := w.add("a", w.init("a"), orders(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if s := w.state("a"); s != CompleteAbort {
			t.Errorf("state %v a second after the timeout", s)
		}
		left, err := w.c.List(t.Context(), ListRequest{Duration: -1})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(left.Transactions); n < 2 || n == 501 {
			t.Errorf("%d ids are left: the expiry was to be under way", n)
		}
	})
}
