package replication

import (
	"time"

	"github.com/hashicorp/raft"
)

// A peer is what the leader knows of a follower from its answers.
type peer struct {
	match    uint64    // last index known to be equal
	told     uint64    // commit index that it was told
	failed   bool      // the last append to it was not answered
	contact  time.Time // of its last answer
	agreed   time.Time // when the newest append was sent that it answered in this leadership's term
	end      uint64    // the leader's last index at that time
	caughtUp time.Time // when it last held all that the leader had
}

// learn takes what became of an append.
func (t *transport) learn(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, sent time.Time, err error) {
	if err == nil {
		t.note(id, args, resp, sent)
	} else if node, ok := nodeOf(id); ok {
		t.mu.Lock()
		if p, known := t.peers[node]; known {
			p.failed = true
			t.peers[node] = p
		}
		t.mu.Unlock()
		t.unsure(node)
	}
}

// note remembers a follower's answer.
func (t *transport) note(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, sent time.Time) {
	t.saw(resp.Term)
	node, ok := nodeOf(id)
	if !ok || resp.Term > args.Term {
		return
	}
	t.mu.Lock()
	p := t.peers[node]
	before, now, end := p.match, time.Now(), t.store.log.LastIndex()
	if resp.Success {
		reached := args.PrevLogEntry + uint64(len(args.Entries))
		p.match = max(p.match, reached)
		p.told = max(p.told, min(args.LeaderCommitIndex, reached))
	}
	// What was sent without entries says how much the follower holds; one that comes late, how much it held.
	lost := len(args.Entries) == 0 && resp.LastLog < before
	switch { // as Kafka's Replica.updateFetchState
	case p.match >= end:
		p.caughtUp = now
	case p.match >= p.end && p.end > 0:
		p.caughtUp = p.contact
	}
	p.contact, p.end, p.failed = now, end, false
	if resp.Term == args.Term && sent.After(p.agreed) {
		p.agreed = sent
		if t.agreed != nil {
			close(t.agreed)
			t.agreed = nil
		}
	}
	t.peers[node] = p
	t.mu.Unlock()
	if p.match > before {
		t.matched()
	}
	if lost {
		t.unsure(node)
	}
}

// saw takes note of the term of another replica, before raft does: raft becomes a
// follower first, and then adopts the term or forgets it.
func (t *transport) saw(term uint64) {
	for {
		have := t.newest.Load()
		if have >= term {
			return
		}
		if t.newest.CompareAndSwap(have, term) {
			t.see(term)
			return
		}
	}
}

// peer is what is known of a follower in this leadership. One that holds all
// there is hears little of its leader (rest), so that its node answers counts for
// its own answer until an append to it fails.
func (t *transport) peer(node int32) peer {
	p := t.heard(node)
	if !p.contact.IsZero() && !p.failed && p.match >= t.store.log.LastIndex() && t.links.contact(node).near {
		p.contact = time.Now()
		p.caughtUp = p.contact
	}
	return p
}

func (t *transport) heard(node int32) peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, heard := t.peers[node]
	if !heard {
		p.caughtUp = t.began // it gets the time that a replica may lag
	}
	return p
}

// agreedSince says whether a voter is known to have had this leader at a time:
// it was elected later, or an append that was sent later was answered in its term.
func (t *transport) agreedSince(node int32, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.began.Before(since) || !t.peers[node].agreed.Before(since)
}

// agreement is closed when a voter answers next that it has this leader.
func (t *transport) agreement() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.agreed == nil {
		t.agreed = make(chan struct{})
	}
	return t.agreed
}

// forget starts a leadership knowing nothing of the followers.
func (t *transport) forget() {
	t.mu.Lock()
	clear(t.peers)
	t.began = time.Now()
	t.mu.Unlock()
}
