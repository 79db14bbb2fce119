package txn

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication/shard"
)

// A view is the state of every transactional id of one partition, as the log
// tells it, and what its leader must do about it and when. All of it is guarded
// by the shard's view lock.
type view struct {
	entries map[string]*entry
	term    *term // nil until the view is complete and this node leads
	due     dueHeap
}

// An entry is one transactional id. Times are monotonic and this leader's own.
type entry struct {
	id      string
	txn     *Transaction // never changed in place
	touched time.Time    // of the last move
	due     time.Time    // when an open transaction times out
	at      int          // place in the heap of what is due, -1 outside
	settled chan struct{}
}

var _ shard.View = (*view)(nil)

func newView(int32) *view { return &view{entries: map[string]*entry{}} }

// get is the state of a transactional id, nil if it is unknown.
func (v *view) get(id string) *Transaction {
	if e := v.entries[id]; e != nil {
		return e.txn
	}
	return nil
}

// Apply installs what was committed. Once this node leads, it also starts what
// follows from it.
func (v *view) Apply(b shard.Batch) error {
	for _, r := range b.Records {
		id, t, err := decode(r)
		if err != nil {
			return fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
		v.install(id, t)
	}
	return nil
}

func (v *view) install(id string, t *Transaction) {
	e := v.entries[id]
	if t == nil {
		if e != nil {
			v.disarm(e)
			e.release()
			delete(v.entries, id)
		}
		return
	}
	if e == nil {
		e = &entry{id: id, at: -1}
		v.entries[id] = e
	}
	wasOpen := e.txn != nil && e.txn.State == Ongoing
	e.txn = t
	if v.term == nil {
		return
	}
	e.touched = time.Now()
	switch {
	case t.State != Ongoing:
		v.disarm(e)
	case !wasOpen && !planted.Is(planted.TimeoutUnread):
		v.arm(e, e.touched.Add(t.Timeout))
	}
	v.resume(e)
}

// load makes the view that of a leader. An open transaction has what is left of
// its timeout by the wall clock, but no more than the whole (hard-20).
func (v *view) load(t *term) {
	v.term = t
	now := time.Now()
	for _, e := range v.entries {
		e.touched = now.Add(-max(0, now.Sub(time.UnixMilli(e.txn.LastUpdate))))
		if e.txn.State == Ongoing {
			left := e.txn.Timeout - now.Sub(time.UnixMilli(e.txn.StartTime))
			v.arm(e, now.Add(min(max(left, 0), e.txn.Timeout)))
		}
		v.resume(e)
	}
}

// unload is the end of a leadership.
func (v *view) unload() {
	v.term.close()
	v.term, v.due = nil, nil
	for _, e := range v.entries {
		e.at = -1
		e.release()
	}
}

// resume starts writing the markers of a prepared transaction, and wakes those
// who wait for one that no longer is.
func (v *view) resume(e *entry) {
	if !e.txn.State.prepared() {
		e.release()
		return
	}
	v.term.settle(e.id, e.txn)
}

// inFlight is closed when the markers in flight are written or the leadership is
// over. It is nil if there are none.
func (v *view) inFlight(id string) <-chan struct{} {
	e := v.entries[id]
	if e == nil || v.term == nil || !e.txn.State.prepared() {
		return nil
	}
	if e.settled == nil {
		e.settled = make(chan struct{})
	}
	return e.settled
}

func (e *entry) release() {
	if e.settled != nil {
		close(e.settled)
		e.settled = nil
	}
}

// arm says when an open transaction times out.
func (v *view) arm(e *entry, due time.Time) {
	v.disarm(e)
	e.due = due
	heap.Push(&v.due, e)
	if v.due[0] == e {
		v.term.partition.nudge()
	}
}

func (v *view) disarm(e *entry) {
	if e.at >= 0 {
		heap.Remove(&v.due, e.at)
	}
}

// takeDue lists the transactions whose time is over and arms them again, in case
// their abort fails. next is when to come back, zero if nothing is open.
func (v *view) takeDue(now time.Time) (timedOut []timedOut, next time.Time) {
	for len(v.due) > 0 && !v.due[0].due.After(now) {
		e := v.due[0]
		timedOut = append(timedOut, newTimedOut(e))
		e.due = now.Add(abortRetry)
		heap.Fix(&v.due, 0)
	}
	if len(v.due) > 0 {
		next = v.due[0].due
	}
	return timedOut, next
}

// idle lists the transactional ids that were unused for so long that they expire.
func (v *view) idle(now time.Time, expiration time.Duration) []string {
	var ids []string
	for id, e := range v.entries {
		if e.txn.expired(now.Sub(e.touched), expiration) {
			ids = append(ids, id)
		}
	}
	return ids
}

// A dueHeap is a heap of open transactions, the next to time out first.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }

// Push adds an *entry (heap.Interface).
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.at = len(*h)
	*h = append(*h, e)
}

// Pop removes the last entry (heap.Interface).
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.at = -1
	return e
}
