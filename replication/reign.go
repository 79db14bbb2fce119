package replication

import "context"

// A reign is one leadership of this replica, from winning a vote to losing it.
type reign struct {
	group *group
	term  uint64
	ready bool // guarded by order.mu: an entry of this term is committed
}

// reach is how far the log is known to be committed.
func (o *order) reached() watermark {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mark
}

// begin starts a leadership. It takes appends once it is ready.
func (o *order) begin(lead *reign) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != lead.group {
		return
	}
	o.lead, o.refusal = lead, nil
	o.guards = nil
}

// resign ends the leadership of g, if it has one. Nobody is known to lead then,
// unless it is stranded.
func (o *order) resign(g *group, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != g {
		return
	}
	stranded := o.strands()
	o.abandon(err)
	if !stranded {
		o.publishLeader(-1)
		return
	}
	v := *o.view.Load()
	v.leadership.Ready, v.leadership.Stranded = false, true
	o.publish(v)
}

// strands says whether a leadership that ends, or a replica that was stranded
// before and changes its state, is stranded: it knows of no newer term than its
// own, so it is its majority that it lacks. Raft's states do not say so.
func (o *order) strands() bool {
	l, g := o.view.Load().leadership, o.current
	return (l.Ready || l.Stranded) && o.newest <= uint64(l.Epoch) && !g.store.failed.Load() && !g.store.sole.Load() && o.p.votes()
}

// see takes note of a term in which another replica has stood or leads. Whoever
// was stranded before it leads no more.
func (o *order) see(term uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.newest = max(o.newest, term)
	if l := o.view.Load().leadership; l.Stranded && o.newest > uint64(l.Epoch) {
		o.publishLeader(-1)
	}
}

// follow takes note of who leads. This replica's own leadership is published
// when it is ready.
func (o *order) follow(g *group, leader, epoch int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != g || o.lead != nil || leader == g.p.node.cfg.NodeID {
		return
	}
	v := *o.view.Load()
	l := Leadership{Leader: leader, Epoch: max(epoch, v.leadership.Epoch)}
	if leader < 0 {
		l.Epoch = v.leadership.Epoch
	}
	if l != v.leadership {
		v.leadership = l
		o.publish(v)
	}
}

// hear takes a leader's own word that it leads and serves; raft would learn of it
// by the next append or heartbeat.
func (o *order) hear(leader, epoch int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := *o.view.Load()
	l := Leadership{Leader: leader, Epoch: epoch}
	if o.current == nil || o.lead != nil || epoch < v.leadership.Epoch || l == v.leadership {
		return
	}
	v.leadership = l
	o.publish(v)
}

// doubt forgets a leader that says itself that it is none.
func (o *order) doubt(leader int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lead == nil && o.view.Load().leadership.Leader == leader {
		o.publishLeader(-1)
	}
}

func (o *order) publishLeader(leader int32) {
	v := *o.view.Load()
	if v.leadership.Leader == leader && !v.leadership.Ready && !v.leadership.Stranded {
		return
	}
	v.leadership = Leadership{Leader: leader, Epoch: v.leadership.Epoch}
	o.publish(v)
}

// leave ends the incarnation g for good. A replica that is its group's only
// voter still is its leader to readers: what is committed stays readable while
// the disk takes no appends.
func (o *order) leave(g *group, err error, stillLeads bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != g {
		return false
	}
	o.current = nil
	o.abandon(err)
	if !stillLeads {
		o.publishLeader(-1)
	}
	return true
}

// shut ends the order for good.
func (o *order) shut(g *group) {
	o.leave(g, ErrClosed, false)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusal, o.closed = ErrClosed, true
	o.announce()
}

// enter makes g the incarnation whose changes count. All below its log start is
// committed, whatever its leader tells it later.
func (o *order) enter(g *group) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current = g
	v, start := *o.view.Load(), g.log.StartOffset()
	if start > v.highWatermark {
		v.highWatermark, v.lastStable = start, start
		o.publish(v)
	}
}

// rise takes a higher watermark. One of this leadership's own term makes it
// ready: everything before it is committed too.
func (o *order) rise(w watermark) {
	if w.index <= o.mark.index {
		return
	}
	o.mark = w
	v := *o.view.Load()
	next := v
	next.highWatermark = max(v.highWatermark, w.highWatermark)
	next.lastStable = max(v.lastStable, w.lastStable)
	if o.lead != nil && !o.lead.ready && w.term == o.lead.term {
		o.lead.ready = true
		next.leadership = Leadership{Leader: o.p.node.cfg.NodeID, Epoch: int32(w.term), Ready: true}
	}
	if next != v {
		o.publish(next)
	}
}

// apply takes what the state machine has applied. A new log start may raise
// the last stable offset by itself.
func (o *order) apply(w watermark, index uint64, started bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rise(w)
	o.applied = max(o.applied, index)
	if started {
		if v := *o.view.Load(); w.highWatermark == v.highWatermark && w.lastStable > v.lastStable {
			v.lastStable = w.lastStable
			o.publish(v)
		}
	}
	o.settleCommitted()
}

// recheck looks again at what waits for a follower's answer (hard-32).
func (o *order) recheck() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settleCommitted()
	o.step()
}

// progressed is closed at the next answer of a follower that brings it forward
// and at the next change of leadership.
func (o *order) progressed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.progress == nil {
		o.progress = make(chan struct{})
	}
	return o.progress
}

func (o *order) step() {
	if o.progress != nil {
		close(o.progress)
		o.progress = nil
	}
}

// over reports whether a leadership has ended.
func (o *order) over(lead *reign) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lead != lead
}

// takeTurn waits for the turn, as a caller that proposes nothing. It comes
// before all that wait to append.
func (o *order) takeTurn(ctx context.Context) (*reign, error) {
	o.mu.Lock()
	o.takers++
	for {
		lead := o.lead
		if lead == nil || !lead.ready || o.draining {
			o.untake()
			return nil, errNotLeader
		}
		if !o.turn {
			o.turn = true
			o.takers--
			o.mu.Unlock()
			return lead, nil
		}
		if o.parked == nil {
			o.parked = make(chan struct{})
		}
		parked := o.parked
		o.mu.Unlock()
		select {
		case <-parked:
			o.mu.Lock()
		case <-ctx.Done():
			o.mu.Lock()
			o.untake()
			return nil, ctx.Err()
		}
	}
}

// untake gives up waiting for the turn, and mu. Who queued behind must not be
// left without a leader of their round.
func (o *order) untake() {
	o.takers--
	leads := !o.turn && len(o.waiting) > 0
	o.turn = o.turn || leads
	o.mu.Unlock()
	if leads {
		o.runTurn()
	}
}

// publish replaces the view and wakes who waits for it to move.
func (o *order) publish(v view) {
	o.view.Store(&v)
	o.announce()
}

func (o *order) announce() {
	if o.moved != nil {
		close(o.moved)
		o.moved = nil
	}
}

// movement is closed at the next publication.
func (o *order) movement() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.moved == nil {
		o.moved = make(chan struct{})
	}
	moved := o.moved
	if o.closed {
		o.announce()
	}
	return moved
}

// abandon ends the leadership: what waits, is proposed or waits for its commit
// is answered with err. What the store has claimed is answered by the store.
func (o *order) abandon(err error) {
	o.lead, o.refusal, o.guards = nil, err, nil
	o.step()
	for _, q := range o.waiting {
		o.settle(q, err)
	}
	o.waiting = nil
	for _, q := range o.commits {
		o.settle(q, err)
	}
	o.commits = nil
	if o.round != nil {
		o.breakRound(o.round, err)
	}
	o.quiet()
}

// quiet wakes who waits for the turn, and who waits until nothing is under way.
func (o *order) quiet() {
	if o.parked != nil && !o.turn {
		close(o.parked)
		o.parked = nil
	}
	if o.idle != nil && !o.turn && len(o.waiting) == 0 && len(o.commits) == 0 {
		close(o.idle)
		o.idle = nil
	}
}

// drain refuses what is new and waits until what is under way is answered.
func (o *order) drain(ctx context.Context) {
	o.mu.Lock()
	o.draining = true
	idle := make(chan struct{})
	if o.idle == nil {
		o.idle = idle
	} else {
		idle = o.idle
	}
	o.quiet()
	o.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done(): // what is left is refused when the group stops
	}
}
