package replication

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
)

// A round is a run of checked proposals on its way through raft.
//
// What is stored of a round is always a prefix of it: the store claims tickets
// in order, and the first that it cannot claim breaks the round.
type round struct {
	term       uint64
	first      uint64 // ticket of entries[0]
	next       uint64 // ticket that the store must meet next
	entries    []*proposal
	duplicates []*proposal // of batches in this very round
	left       int         // entries not yet stored or refused
	broken     bool
	end        int64 // offset after the last stored batch
}

// order brings the appends of one leader into one order, in rounds.
//
// Whoever holds the turn takes all that wait, checks it against the log and
// what this round already holds, hands it to raft and waits until each is
// stored or refused. So nothing speculative outlives a round (hard-01). The one
// who ends a round starts the next before it returns, so a batch under load
// costs its caller one wake-up. mu is held for a few instructions only, by
// raft's goroutines too; the turn is a flag, held without mu.
type order struct {
	p     *Partition
	check func(*reign, []*proposal) // judge; another in tests of the judge

	mu       sync.Mutex
	current  *group // whose changes count
	lead     *reign // nil while another leads, or nobody
	refusal  error  // what a caller gets while lead is nil
	draining bool
	closed   bool

	turn    bool
	takers  int // wait for the turn without a proposal
	waiting []*proposal
	round   *round
	tickets uint64      // never reused (hard-02)
	commits []*proposal // stored, waiting for their commit
	mark    watermark
	applied uint64 // last index that the state machine has seen
	newest  uint64 // term of another replica that this one has heard of
	guards  map[int64]*Guard

	// Closed at the next occasion; nil while nobody waits for it.
	idle     chan struct{} // nothing is under way
	parked   chan struct{} // the turn is free
	moved    chan struct{} // the view moved
	progress chan struct{} // a follower came forward, or the leadership ended

	view   atomic.Pointer[view]
	timers sync.Pool // of *time.Timer; of one order, since a timer never leaves the bubble of its test
}

// A view is what readers see of a partition, replaced as a whole.
type view struct {
	leadership    Leadership
	highWatermark int64
	lastStable    int64
}

// A watermark is how far the log is committed.
type watermark struct {
	index         uint64
	term          uint64
	highWatermark int64
	lastStable    int64
}

// completed is the watermark of a position, with its last stable offset. The log
// start was only ever raised to what is committed, and may lie above the position
// after a restart or an installed boundary.
func completed(l *log.Log, index, term uint64, highWatermark int64) watermark {
	highWatermark = max(highWatermark, l.StartOffset())
	lastStable := l.LastStableOffset(highWatermark)
	return watermark{index: index, term: term, highWatermark: highWatermark, lastStable: min(lastStable, highWatermark)} // the start may just have risen
}

// submit queues q and, when nobody holds the turn, leads the next round.
func (o *order) submit(q *proposal) {
	o.mu.Lock()
	if o.lead == nil || !o.lead.ready || o.draining {
		o.settle(q, o.notLeader())
		o.mu.Unlock()
		return
	}
	o.waiting = append(o.waiting, q)
	leads := !o.turn && o.takers == 0
	o.turn = o.turn || leads
	o.mu.Unlock()
	if leads {
		o.runTurn()
	}
}

// await returns when q is answered. It gives up on a queue or a commit when
// ctx ends or the deadline comes, never on a round: there the batch belongs to the
// store.
func (o *order) await(ctx context.Context, q *proposal) {
	done := ctx.Done()
	var late <-chan time.Time
	if !q.deadline.IsZero() {
		timer := o.timer(time.Until(q.deadline))
		defer o.timers.Put(timer)
		defer timer.Stop()
		late = timer.C
	}
	for {
		closes, answered := o.look(q)
		if closes {
			o.runTurn()
			continue
		}
		if answered {
			return
		}
		select {
		case <-q.wake:
		case <-done:
			done = nil
			o.expire(q, ctx.Err())
		case <-late:
			o.expire(q, context.DeadlineExceeded)
		}
	}
}

// timer takes one that was used before, if there is one.
func (o *order) timer(d time.Duration) *time.Timer {
	if timer, ok := o.timers.Get().(*time.Timer); ok {
		timer.Reset(d)
		return timer
	}
	return time.NewTimer(d)
}

// look tells what the caller of q must do: start the next round, or return.
func (o *order) look(q *proposal) (closes, answered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.closes && q.ended {
		q.closes = false
		return true, false
	}
	return false, q.phase == settled && !q.closes
}

// expire ends the waiting of q's caller where that is possible.
func (o *order) expire(q *proposal, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q.expired = true
	timedOut := fmt.Errorf("append: %w: %w", cause, kerr.RequestTimedOut)
	switch q.phase {
	case queued:
		o.waiting = without(o.waiting, q)
		o.settle(q, timedOut)
	case stored:
		o.commits = without(o.commits, q)
		o.settle(q, timedOut)
	default: // the round decides; see keep
	}
}

func without(list []*proposal, q *proposal) []*proposal {
	for i, have := range list {
		if have == q {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// runTurn checks and proposes what waits. It ends with a round under way, or
// with nobody waiting and the turn given back. The caller holds the turn.
func (o *order) runTurn() {
	for {
		lead, batch := o.take()
		if lead == nil {
			return
		}
		o.judged(lead, batch)
		if o.propose(lead, batch) {
			return
		}
	}
}

// take empties the queue for the holder of the turn.
func (o *order) take() (*reign, []*proposal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lead == nil {
		for _, q := range o.waiting {
			o.settle(q, o.notLeader())
		}
		o.waiting = nil
	}
	if len(o.waiting) == 0 || o.takers > 0 {
		o.turn = false
		o.quiet()
		return nil, nil
	}
	batch := o.waiting
	o.waiting = nil
	for _, q := range batch {
		q.phase = taken
	}
	return o.lead, batch
}

// propose hands the accepted of a round to raft and keeps the turn for the
// round's end. It returns false when there is no round: nothing was accepted,
// or the leadership under which it was checked is gone.
func (o *order) propose(lead *reign, batch []*proposal) bool {
	o.mu.Lock()
	r := &round{term: lead.term, first: o.tickets + 1, next: o.tickets + 1, entries: batch[:0]}
	for _, q := range batch {
		switch {
		case o.lead != lead:
			o.settle(q, o.notLeader())
		case q.outcome == refused:
			o.settle(q, q.err)
		case q.outcome == known:
			o.keep(q)
		case q.outcome == repeated:
			r.duplicates = append(r.duplicates, q)
		default:
			r.entries = append(r.entries, q) // in place: it never gets ahead of the loop
		}
	}
	if len(r.entries) == 0 {
		o.mu.Unlock()
		return false
	}
	r.left = len(r.entries)
	for _, q := range r.entries {
		o.tickets++
		q.ticket, q.phase = o.tickets, proposed
	}
	r.entries[0].closes = true
	o.round = r
	o.mu.Unlock()
	for i, q := range r.entries { // of a q that is settled meanwhile only data's place is read
		lead.group.apply(command{kind: q.kind, term: lead.term, ticket: r.first + uint64(i), data: q.data})
	}
	return true
}

// notLeader is the answer to whoever comes between two leaderships, or before
// the first: what ended the last one, as long as no other began.
func (o *order) notLeader() error {
	if o.refusal != nil {
		return o.refusal
	}
	return errNotLeader
}

// claim gives the store the proposal that a command stands for. It returns nil
// for a command that must become a void row: one checked in another term, one
// whose round was given up, one that follows a refused one (hard-02).
func (o *order) claim(term, ticket, storeTerm uint64) *proposal {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.round
	if r == nil || r.broken || ticket < r.first || ticket >= r.first+uint64(len(r.entries)) {
		return nil
	}
	if term != storeTerm || term != r.term || ticket != r.next {
		o.breakRound(r, errNotLeader)
		return nil
	}
	q := r.entries[ticket-r.first]
	r.next++
	q.phase = storing
	return q
}

// breakRound refuses what the store has not claimed of r.
func (o *order) breakRound(r *round, err error) {
	if r.broken {
		return
	}
	r.broken = true
	for _, q := range r.entries[r.next-r.first:] {
		o.settle(q, err)
		r.left--
	}
	o.endRound(r)
}

// keptBy tells the order what became of the claimed proposals: err is the
// store's. With mark not nil the entries are committed at once, because this
// node is the only voter.
func (o *order) keptBy(claimed []*proposal, err error, mark *watermark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mark != nil {
		o.rise(*mark)
	}
	r := o.round
	for _, q := range claimed {
		r.left--
		if err != nil {
			o.settle(q, err)
			continue
		}
		r.end = max(r.end, q.last+1)
		o.keep(q)
	}
	if err != nil && r != nil {
		o.breakRound(r, err)
	}
	if r != nil {
		o.endRound(r)
	}
	if mark != nil {
		o.settleCommitted()
	}
}

// keep answers q, which is stored, or lets it wait for its commit. A duplicate
// waits like the original (hard-04).
func (o *order) keep(q *proposal) {
	q.phase = stored
	switch {
	case q.acks != -1 || o.committed(q):
		o.settle(q, nil)
	case o.lead == nil: // given up while the store was writing it
		o.settle(q, o.notLeader())
	case q.expired:
		o.settle(q, kerr.RequestTimedOut)
	default:
		o.commits = append(o.commits, q)
	}
}

// endRound ends r when the last of it is stored or refused.
func (o *order) endRound(r *round) {
	if r.left > 0 || o.round != r {
		return
	}
	for _, q := range r.duplicates {
		if q.last < r.end {
			q.reach = r.entries[r.next-r.first-1].index
			o.keep(q)
		} else {
			o.settle(q, errNotLeader)
		}
	}
	o.round = nil
	r.entries[0].ended = true
	signal(r.entries[0])
}

// committed reports whether q needs to wait no longer.
func (o *order) committed(q *proposal) bool {
	switch {
	case q.kind == log.KindLogStart:
		return o.applied >= q.index
	case q.index == 0:
		return o.mark.highWatermark > q.last && o.held(q, q.reach)
	default:
		return o.mark.index >= q.index && o.held(q, q.index)
	}
}

// held reports whether as many voters hold an index as q asks for.
func (o *order) held(q *proposal, index uint64) bool {
	return q.minInSync == 0 || o.p.holding(index) >= q.minInSync
}

// settleCommitted answers the proposals whose wait is over.
func (o *order) settleCommitted() {
	rest := o.commits[:0]
	for _, q := range o.commits {
		if o.committed(q) {
			o.settle(q, nil)
			continue
		}
		rest = append(rest, q)
	}
	clear(o.commits[len(rest):])
	o.commits = rest
	o.quiet()
}

// settle answers q. Its caller may then use the batch again.
func (o *order) settle(q *proposal, err error) {
	if err != nil && q.index == 0 && q.outcome != known && q.outcome != repeated {
		err = refusedError{err}
	}
	q.phase, q.err = settled, err
	signal(q)
}

func signal(q *proposal) {
	select {
	case q.wake <- struct{}{}:
	default: // it has not looked since the last signal
	}
}
