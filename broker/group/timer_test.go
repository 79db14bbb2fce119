package group

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard"
)

// A session ends in time although a read of the log failed at that moment.
func TestSessionOutlivesAFailedRead(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		c := w.client()
		w.stable(c)
		time.Sleep(c.session - 100*time.Millisecond)
		w.p.FailReads(2) // the shard's own, and the one at the deadline
		w.mark(7, 0, true)
		time.Sleep(1100 * time.Millisecond)
		w.settle()
		w.wantState(Empty, 0)
	})
}

// A guard comes from a leader alone: a TxnOffsetCommit right after a start is
// verified when the partition is loaded, not told that its transaction is over.
func TestTxnOffsetCommitIsVerifiedUnderALeader(t *testing.T) {
	var w *world
	config := Config{Verify: func(_ context.Context, req *kmsg.TxnOffsetCommitRequest, _ int32, guard func(int64) shard.Guard) (shard.Guard, error) {
		if !w.p.Leadership().Ready {
			t.Error("verified before the leader is ready")
		}
		return guard(req.ProducerID), nil
	}}
	bubble(t, config, func(started *world) {
		w = started
		w.settle()
		w.p.Elect(2)
		a := later(func() *kerr.Error { return w.client().commitInTxn(7, 0, 1, 6) })
		wantNone(t, "commit", a)
		w.p.Barrier()
		wantAnswer(t, "commit", a, nil)
	})
}
