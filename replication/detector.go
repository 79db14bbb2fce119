package replication

import (
	"context"
	"math/rand/v2"
	"time"
)

// The detector has a replica stand for election when its group's leader is
// gone. Raft's own timers are long (see group.go), so nothing else does. It also
// tells replicas who leads, which raft would tell them within a second or two.
//
// It asks the other voters of each group whose leader it doubts (census), judges
// their words (verdict) and acts.
type detector struct {
	node *Node
	some chan struct{} // one message: something changed
}

// How the detector waits.
const (
	lookAgain    = 50 * time.Millisecond  // while a group has no leader
	lookPause    = 5 * time.Millisecond   // at least
	lookAnyway   = time.Second            // for leaders that are silent though their nodes are there
	getToKnow    = time.Second            // for a node that starts and the others
	silentLeader = 3 * time.Second        // raft's leaders are heard every two to four seconds; those between are asked
	stagger      = 300 * time.Millisecond // between the voters of a group, by rank
	freshStagger = 5 * time.Second        // before its first leader, who should be the preferred one
	patience     = 2 * time.Second        // with an election that is not decided
	minRest      = 100 * time.Millisecond // after an election that was lost, doubling
	maxRest      = time.Second
)

// A trouble is a group without a leader, as one replica sees it, and with a
// majority that can elect one.
type trouble struct {
	since time.Time
	next  time.Time // no kick before
	rest  time.Duration
}

func newDetector(n *Node) *detector { return &detector{node: n, some: make(chan struct{}, 1)} }

// poke has the detector look now. It never blocks.
func (d *detector) poke() {
	select {
	case d.some <- struct{}{}:
	default: // it will
	}
}

// run looks whenever something changed, every second, and more often while a
// group has no leader. A node without others has nothing to detect.
func (d *detector) run(ctx context.Context) {
	if d.node.mesh == nil {
		return
	}
	troubles := map[PartitionID]*trouble{}
	timer := time.NewTimer(lookAnyway)
	defer timer.Stop()
	for {
		select {
		case <-d.some:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := lookAnyway
		if d.look(ctx, troubles) {
			next = lookAgain
		}
		timer.Reset(next)
		select {
		case <-time.After(lookPause): // nodes that ask each other poke each other
		case <-ctx.Done():
			return
		}
	}
}

// look asks about the groups whose leaders it doubts and acts. It reports
// whether there are any of which none said that it leads.
func (d *detector) look(ctx context.Context, troubles map[PartitionID]*trouble) bool {
	var doubted []*Partition
	for _, p := range d.node.all() {
		if g := p.group.Load(); g.transport.forgetful.Load() && p.Leadership().Ready {
			p.task(g.transport.broughtUp) // it was forgiven, and its log is the group's now
		}
		if d.doubts(p) {
			doubted = append(doubted, p)
		}
	}
	if len(doubted) == 0 {
		clear(troubles)
		return false
	}
	found, again := make(map[PartitionID]bool, len(doubted)), false
	for _, q := range d.node.census(ctx, doubted) {
		p, v := q.group, q.judge(d.node.cfg.NodeID, d.expected)
		again = again || v.leader < 0 || q.stale()
		switch {
		case q.stale():
			found[p.id] = true // what troubles there are stay
			continue
		case v.leader >= 0:
			p.order.hear(v.leader, v.epoch)
			p.heard.Store(time.Now().UnixNano())
		case v.denied:
			p.order.doubt(q.believed)
		}
		if v.elect || v.forgive {
			found[p.id] = true
		}
		switch {
		case v.elect:
			d.stand(p, v.rank, troubles)
		case v.forgive:
			d.forgive(p, v.fresh, troubles)
		}
	}
	for id := range troubles {
		if !found[id] {
			delete(troubles, id)
		}
	}
	return again
}

// doubts says whether the leader of a group may be gone: none is known, a
// majority of the voters say that its node is dead, or nothing came from it for
// some time though its node is there.
func (d *detector) doubts(p *Partition) bool {
	g := p.group.Load()
	if g.store.sole.Load() || p.leads() {
		return false
	}
	switch leader := p.Leadership().Serving(); {
	case leader < 0:
		return true
	case !d.alive(leader):
		return !p.votes() || d.lost(p, leader)
	}
	return time.Since(g.raft.LastContact()) > silentLeader && time.Since(time.Unix(0, p.heard.Load())) > silentLeader
}

// stand has a replica stand for election if it is its turn.
func (d *detector) stand(p *Partition, rank int, troubles map[PartitionID]*trouble) {
	now := time.Now()
	t := troubles[p.id]
	if t == nil {
		t = &trouble{since: now, rest: minRest}
		troubles[p.id] = t
	}
	step, g := stagger, p.group.Load()
	if g.log.LastIndex() <= 1 {
		step = freshStagger
	}
	if g.transport.votes.over(now) && t.next.Sub(now) > t.rest { // it stood, and not for long any more
		t.next, t.rest = now.Add(t.rest/2+rand.N(t.rest)), min(2*t.rest, maxRest)
	}
	if now.Before(t.next) || now.Before(t.since.Add(time.Duration(rank)*step)) || p.yields(now) || p.leads() {
		return
	}
	if !g.stand() {
		return // raft is busy; the next look tries again
	}
	t.next = now.Add(patience)
	p.logger.Info("standing for election", "leader_before", p.Leadership().Leader, "rank", rank)
}

// forgive lets a forgetful replica vote when it has waited long enough. The troubles
// begin anew with its vote.
func (d *detector) forgive(p *Partition, fresh bool, troubles map[PartitionID]*trouble) {
	now := time.Now()
	t := troubles[p.id]
	if t == nil {
		t = &trouble{since: now, rest: minRest}
		troubles[p.id] = t
	}
	if !fresh && now.Before(t.since.Add(forgiveAfter)) {
		return
	}
	delete(troubles, p.id)
	p.forgive(fresh)
	d.poke()
}

// yieldRest is how long a replica that handed over leaves the election to others:
// while they hold it nobody leads, and it would be the first to stand.
const yieldRest = 2 * time.Second

// diskRest is how long a replica whose disk failed leaves it to others. It often
// has the best log, and would win each election only to fail again (T7).
const diskRest = 5 * time.Second

// yields says whether a replica does not stand: it has just handed over, its disk
// has just failed, or its node is about to stop.
func (p *Partition) yields(now time.Time) bool {
	p.mu.Lock()
	failed := now.Sub(p.failed) < diskRest
	p.mu.Unlock()
	return failed || p.node.leaving.Load() || now.Sub(time.Unix(0, p.yielded.Load())) < yieldRest
}

// lost says whether a majority of the voters, this node among them, say that the
// leader's node is dead.
func (d *detector) lost(p *Partition, leader int32) bool {
	voters, dead := p.Voters(), 0
	for _, v := range voters {
		if v == d.node.cfg.NodeID {
			dead++
		} else if peer := d.node.mesh.Peer(v); peer != nil && v != leader {
			if hears, known := peer.Hears(leader); known && !hears {
				dead++
			}
		}
	}
	return dead > len(voters)/2
}

func (d *detector) alive(node int32) bool {
	p := d.node.mesh.Peer(node)
	return p != nil && p.Alive()
}

// expected says whether a node is there or may be coming: one that starts has
// not heard the others yet.
func (d *detector) expected(node int32) bool {
	p := d.node.mesh.Peer(node)
	if p == nil {
		return false
	}
	age, ever := p.LastContact()
	return p.Alive() || !ever && age < getToKnow
}

// leads says whether this replica was elected, ready or not.
func (p *Partition) leads() bool {
	p.order.mu.Lock()
	defer p.order.mu.Unlock()
	return p.order.lead != nil
}
