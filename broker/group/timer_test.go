package group

import (
	"testing"
	"time"
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
