package replication

import (
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"
)

// restMost is how long raft's goroutine for one follower rests, and up to twice
// that. Whatever changes wakes it before; this is for what nobody thought of.
const restMost = 30 * time.Second

// rest keeps an append without entries back while it has nothing to tell: the
// follower holds all of the log and knows how much of it is committed. Raft makes
// one every second or two for each follower of each group, and rests meanwhile.
// False is that it is to be sent.
//
// Raft looks for entries when it is back, and wakes when it has some; so what is
// stored later must end the rest.
func (t *transport) rest(id raft.ServerID, args *raft.AppendEntriesRequest, broken <-chan struct{}) bool {
	node, ok := nodeOf(id)
	if !ok || len(args.Entries) > 0 || args.PrevLogEntry == 0 {
		return false
	}
	t.resting.Add(1) // before it looks: who stores and then sees nobody rest is seen here
	defer t.resting.Add(-1)
	stirred, informed := t.informed(node, args)
	switch {
	case !informed || t.committed.Load() > args.LeaderCommitIndex:
		return false
	case t.store.log.LastIndex() > args.PrevLogEntry:
		return true
	}
	enough := time.NewTimer(restMost + rand.N(restMost))
	defer enough.Stop()
	select {
	case <-stirred:
		return true
	case <-enough.C:
	case <-broken:
	case <-t.stop:
	}
	return false
}

// informed says whether a follower is known to hold what an append follows and to
// have been told the commit index in it, and what is closed when that may change.
func (t *transport) informed(node int32, args *raft.AppendEntriesRequest) (stirred <-chan struct{}, informed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stirred == nil {
		t.stirred = make(chan struct{})
	}
	p := t.peers[node]
	return t.stirred, p.match >= args.PrevLogEntry && p.told >= args.LeaderCommitIndex
}

// stir ends all rests: entries were stored, more is committed, or this replica
// leads no more.
func (t *transport) stir() {
	if t.resting.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stirred != nil {
		close(t.stirred)
		t.stirred = nil
	}
}

// commits takes note of how far the log is committed.
func (t *transport) commits(index uint64) {
	t.committed.Store(index)
	t.stir()
}

// unsure has a follower told again how far the log is committed: it may have
// started anew, or hold less than it did.
func (t *transport) unsure(node int32) {
	t.mu.Lock()
	p, known := t.peers[node]
	p.told = 0
	if known {
		t.peers[node] = p
	}
	t.mu.Unlock()
	t.stir()
}

// connected has the followers on a node told again: it may have been started anew.
func (n *Node) connected(node int32) {
	for _, p := range n.all() {
		p.group.Load().transport.unsure(node)
	}
}
