package txn

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

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

func TestTimeoutAfterALoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		stored time.Duration // start time, from the time of the load
		want   time.Duration
	}{
		{"the rest of it", -20 * time.Second, 40 * time.Second},
		{"none, it is long over", -time.Hour, 0},
		{"no more than all of it, after a clock that ran ahead", time.Hour, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				p := w.init("a")
				if err := w.add("a", p, orders(0)); err != nil {
					t.Fatal(err)
				}
				d, err := w.c.Describe(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				d.StartTime = time.Now().Add(c.stored).UnixMilli()
				w.put("a", &d)
				w.restart()
				if c.want > 0 {
					time.Sleep(c.want - time.Millisecond)
					if s := w.state("a"); s != Ongoing {
						t.Errorf("aborted early: %v", s)
					}
					time.Sleep(time.Millisecond)
				}
				synctest.Wait()
				if s := w.state("a"); s != CompleteAbort {
					t.Errorf("state %v", s)
				}
			})
		})
	}
}

func TestManyTransactionsTimeOutTogether(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		const n = 300
		for i := range n {
			id := fmt.Sprint("id", i)
			if err := w.add(id, w.init(id), orders(int32(i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range n {
			if s := w.state(fmt.Sprint("id", i)); s != CompleteAbort {
				t.Fatalf("%d: %v", i, s)
			}
		}
	})
}

func TestTransactionalIDExpiresAfterSevenDays(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		p := w.init("idle")
		w.init("open")
		if err := w.add("idle", p, orders(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.end("idle", p, commit, 5); err != nil {
			t.Fatal(err)
		}
		w.news()
		time.Sleep(7*24*time.Hour - time.Second)
		if s := w.state("idle"); s != CompleteCommit {
			t.Errorf("state %v", s)
		}
		w.init("open") // in use again
		time.Sleep(time.Hour + time.Second)
		if _, err := w.c.Describe(t.Context(), "idle"); !errors.Is(err, kerr.TransactionalIDNotFound) {
			t.Errorf("idle: %v", err)
		}
		if s := w.state("open"); s != Empty {
			t.Errorf("open: %v", s)
		}
		lines := w.news()
		if last := lines[len(lines)-1]; last != "log: idle tombstone" {
			t.Errorf("stored %q", last)
		}
		w.restart()
		if _, err := w.c.Describe(t.Context(), "idle"); !errors.Is(err, kerr.TransactionalIDNotFound) {
			t.Errorf("after a restart: %v", err)
		}
		if next := w.init("idle"); next.Epoch != 0 || next.ID == p.ID {
			t.Errorf("initialised again as %v", next)
		}
	})
}

func TestExpiryCountsFromTheLastUpdate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		w.init("a")
		w.init("ahead")
		d, err := w.c.Describe(t.Context(), "ahead")
		if err != nil {
			t.Fatal(err)
		}
		d.LastUpdate = time.Now().Add(30 * 24 * time.Hour).UnixMilli()
		w.put("ahead", &d)
		time.Sleep(6 * 24 * time.Hour)
		w.restart()
		time.Sleep(25 * time.Hour)
		if _, err := w.c.Describe(t.Context(), "a"); !errors.Is(err, kerr.TransactionalIDNotFound) {
			t.Errorf("a: %v", err)
		}
		if s := w.state("ahead"); s != Empty {
			t.Errorf("ahead: %v", s)
		}
		time.Sleep(6 * 24 * time.Hour)
		if _, err := w.c.Describe(t.Context(), "ahead"); !errors.Is(err, kerr.TransactionalIDNotFound) {
			t.Errorf("ahead: %v", err)
		}
	})
}
