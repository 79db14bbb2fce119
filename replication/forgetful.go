package replication

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	mesh "github.com/oncelog/oncelog/replication/transport"
)

// A forgetful replica is a voter whose log may lack what it answered for: the power
// was cut while appends were not synced (see life), or its disk was emptied. A
// majority that counts it may lack what was committed, so it gives no vote and does
// not stand until a leader has brought it up (hard-29). Kafka takes a broker that
// restarted out of the ISR for the same reason.
//
// Where those that forgot nothing are too few to elect anybody, even if all of them
// come, waiting would help nobody. After forgiveAfter the forgetful vote with the
// rest, and whoever holds most leads: what only the others of them held is lost.
//
// A newcomer, by its own log no voter, is muted likewise (newcomer.go).

var errForgetful = errors.New("replication: this replica may have forgotten what it answered for, and has no vote until a leader has brought it up")

// forgiveAfter is how long forgetful replicas wait for one that forgot nothing.
const forgiveAfter = 5 * time.Second

// forgets says whether a replica that opens is forgetful, by its slot. What is always
// synced forgets only with its whole disk.
func (p *Partition) forgets(v *slot) bool {
	if v.value.term == 0 {
		return p.existed && !p.joins
	}
	return v.value.forgot && !p.sync
}

// muted says why this replica has no vote; nil if it has one.
func (t *transport) muted() error {
	switch {
	case t.newcomer.Load():
		return errNewcomer
	case t.forgetful.Load() && !t.forgiven.Load():
		return errForgetful
	default:
		return nil
	}
}

// hear takes an append for a replica that a leader is to bring up. It is brought up
// once it holds the leader's commit index, if the entry there is of the leader's own
// term: a new leader's may be lower than what was committed.
func (t *transport) hear(r *raft.AppendEntriesRequest, wait mesh.Wait, commit uint64) mesh.Wait {
	term := r.Term
	return func(ctx context.Context) (any, error) {
		answer, err := wait(ctx)
		if a, ok := answer.(*raft.AppendEntriesResponse); err == nil && ok && a.Success && t.store.holdsOf(commit, term) {
			t.broughtUp()
		}
		return answer, err
	}
}

// broughtUp gives the replica its vote back.
func (t *transport) broughtUp() {
	t.newcomer.Store(false)
	if t.forgetful.Load() && t.installs.begin() {
		defer t.installs.done()
		if t.forgetful.CompareAndSwap(true, false) {
			t.remember()
		}
	}
}

// forgive lets a forgetful replica vote with others that are.
func (p *Partition) forgive(fresh bool) {
	g := p.group.Load()
	if !g.transport.forgetful.Load() || g.transport.forgiven.Swap(true) || fresh {
		return
	}
	p.node.forgiven.Add(1)
	p.logger.Warn("replicas that may have forgotten what they answered for vote, as those that have not are too few: what was acknowledged may be lost",
		"log_end", g.log.EndOffset(), "leader_epoch", g.log.LastTerm())
}

// Forgiven counts the replicas that voted though they may have forgotten what they
// answered for.
func (n *Node) Forgiven() int64 { return n.forgiven.Load() }

// forgives says whether the voters of a group are to be forgiven: those that forgot
// nothing could elect nobody. fresh says that all have spoken and none has anything,
// so there is nothing that could be lost: the group is about to be founded.
func (q *poll) forgives() (yes, fresh bool) {
	forgot, said := 0, 0
	fresh = true
	look := func(w word) {
		said++
		if w.forgot {
			forgot++
		}
		fresh = fresh && w.open && w.term <= 1
	}
	look(q.own)
	for _, w := range q.words {
		if w.leader >= 0 && !q.denies(w.leader) {
			return false, false
		}
		look(w)
	}
	n := len(q.voters)
	return forgot >= n-n/2, fresh && said == n
}
