package replication

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oncelog/oncelog/log"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// A group is one incarnation of a partition's raft on an open log. A disk error
// ends it; the partition then opens the log again and starts another.
//
// A leader of it costs four goroutines, all raft's own: main, state machine,
// snapshots, metrics. A follower costs three.
type group struct {
	p         *Partition
	log       *log.Log
	store     *store
	snapshots *snapshots
	transport *transport
	raft      *raft.Raft
	stopped   atomic.Bool
	telling   atomic.Bool // tell is under way
	tasks     sync.WaitGroup
	stop      func() error // stops raft and waits for its goroutines; the log stays open
	closeLog  func() error
}

// How long raft waits for a peer. Kicks start elections, so this may be long; a
// node without others waits for nobody, and its timers would tick for nothing.
// A tenth of it, and up to twice that, is between two heartbeats: a thousand idle
// groups cost what they send. Idle appends are sent only where there is something
// to tell (transport.rest).
const (
	peerTimeout  = 60 * time.Second
	aloneTimeout = 10 * time.Minute

	// How soon followers of an idle leader hear of its last commit.
	commitIdle   = time.Second
	commitPrompt = 50 * time.Millisecond
)

// raftConfig holds the settings of every group: long timeouts, because
// kicks start elections, and no snapshots, because the boundary is the only one.
func (n *Node) raftConfig(p *Partition) *raft.Config {
	timeout := peerTimeout
	if n.cfg.links == nil {
		timeout = aloneTimeout
	}
	commitTimeout := commitIdle
	if p.prompt {
		commitTimeout = commitPrompt
	}
	return &raft.Config{
		ProtocolVersion:    raft.ProtocolVersionMax,
		HeartbeatTimeout:   timeout,
		ElectionTimeout:    timeout,
		LeaderLeaseTimeout: timeout * 6 / 10,
		CommitTimeout:      commitTimeout,
		MaxAppendEntries:   64,
		BatchApplyCh:       true,
		SnapshotInterval:   time.Hour,
		SnapshotThreshold:  math.MaxInt64,
		TrailingLogs:       math.MaxInt64,
		LocalID:            serverID(n.cfg.NodeID),
		Logger:             newRaftLogger(p.logger),
		NoLegacyTelemetry:  true,
	}
}

// startGroup starts raft on an open log.
func startGroup(p *Partition, l *log.Log, v *slot) (*group, error) {
	n := p.node
	g := &group{p: p, log: l, closeLog: sync.OnceValue(l.Close)}
	g.stop = sync.OnceValue(g.shutdown)
	fail := func(err error) { p.offline(g, err) }
	var book ledger = &p.order
	if n.cfg.faulty != nil {
		book = n.cfg.faulty(&p.order)
	}
	g.store = &store{log: l, ledger: book, always: p.sync || n.cfg.Fsync == FsyncAlways, config: &p.config, synced: l.EndOffset(), self: n.cfg.NodeID, fail: fail}
	g.transport = newTransport(p.id, p.past, n.cfg.NodeID, n.cfg.links, g.store, n.throttle, p.order.recheck, p.order.see)
	g.transport.prompt = p.prompt
	g.store.stored = g.transport.stir
	g.snapshots = &snapshots{store: g.store}
	memory := newStable(n.slots, v, g.store.broken)
	forgets := p.forgets(v)
	memory.forget(forgets)
	g.transport.remember = memory.remember
	r, err := raft.NewRaft(n.raftConfig(p), &machine{g: g}, g.store, memory, g.snapshots, g.transport)
	if err != nil {
		return nil, fmt.Errorf("start raft of %v: %w", p.id, err)
	}
	g.raft, g.transport.term = r, r.CurrentTerm
	g.snapshots.started.Store(true)
	if g.store.failed.Load() {
		return nil, errors.Join(errOffline, g.stop())
	}
	members := r.GetConfiguration().Configuration()
	g.store.sole.Store(onlyVoter(members, n.cfg.NodeID))
	g.transport.newcomer.Store(newcomer(members, n.cfg.NodeID))
	if g.store.sole.Load() {
		memory.forget(false) // there is nobody who would know better
	} else {
		g.transport.forgetful.Store(forgets)
	}
	r.RegisterObserver(raft.NewObserver(nil, false, g.observe))
	return g, nil
}

// bootstrap writes the first configuration into an empty log. All voters write
// the same entry. Nothing is synced: until its first vote a group promised
// nothing, and the vote is.
func bootstrap(l *log.Log, voters []int32) error {
	var c raft.Configuration
	for _, v := range voters {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: serverID(v), Address: serverAddress(v)})
	}
	return l.Append([]log.Entry{{Index: 1, Term: 1, Kind: log.KindConfiguration, Data: encodeMembers(c)}})
}

// observe follows raft's changes of state. Raft calls it from the goroutine
// that changes; it never blocks and asks for no delivery.
func (g *group) observe(o *raft.Observation) bool {
	if g.stopped.Load() {
		return false
	}
	switch v := o.Data.(type) {
	case raft.RaftState:
		if v == raft.Leader {
			g.leading()
		} else {
			g.p.order.resign(g, errNotLeader)
			g.transport.stir()
		}
	case raft.LeaderObservation:
		node, ok := nodeOf(v.LeaderID)
		if !ok {
			node = -1
		}
		g.p.order.follow(g, node, int32(g.raft.CurrentTerm()))
		if node < 0 {
			g.p.node.detector.poke()
		}
	}
	return false
}

// leading begins a reign. An only voter is ready when its noop is stored; else
// a command of the new term is proposed, whose commit makes it ready.
func (g *group) leading() {
	term := g.raft.CurrentTerm()
	g.transport.forget()
	g.p.order.begin(&reign{group: g, term: term})
	if g.store.sole.Load() {
		return
	}
	g.tasks.Go(func() {
		g.raft.ApplyLog(raft.Log{Extensions: marks[log.KindVoid]}, 0)
	})
}

// verify has the followers asked now whether they have this leader still, which
// raft would ask them within two seconds.
func (g *group) verify() {
	if g.transport.verifying.Swap(true) {
		return
	}
	g.p.task(func() {
		g.raft.VerifyLeader() // the answers are noted as they come
		select {
		case <-time.After(verifyPause):
		case <-g.transport.stop:
		}
		g.transport.verifying.Store(false)
	})
}

// verifyPause is the least time between two such questions.
const verifyPause = 100 * time.Millisecond

// apply hands a command to raft. Its future is not waited for: it may never be
// answered around a shutdown, so the store and the observer tell what became
// of it (hard-02).
func (g *group) apply(c command) {
	g.raft.ApplyLog(raft.Log{Data: c.data, Extensions: c.extensions()}, 0)
}

// stand makes this replica stand for election at once, without a pre-vote. It is
// false when raft has too much in line.
//
// A candidate hears no kick until its own timer ends, twenty seconds or more, and
// one whose stand came from a kick does not follow a leader of its term either
// (hard-25). A newer term makes it a follower first: a request for a vote from
// itself, with a log that nobody votes for.
func (g *group) stand() bool {
	if g.raft.State() == raft.Candidate {
		header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(g.store.self)), Addr: mesh.CandidateName(g.store.self)}
		if !g.transport.push(&raft.RequestVoteRequest{RPCHeader: header, Term: g.raft.CurrentTerm() + 1, LeadershipTransfer: true}) {
			return false
		}
	}
	g.transport.votes.begin()
	return g.transport.push(timeoutNow())
}

// tell has the followers hear of a commit that no append would tell them of
// soon. What is not told now raft tells when commitPrompt is over.
func (g *group) tell(commit uint64) {
	if !g.p.prompt || g.raft.State() != raft.Leader || !g.telling.CompareAndSwap(false, true) {
		return
	}
	g.tasks.Go(func() {
		defer g.telling.Store(false)
		g.transport.tell(g.raft.CurrentTerm(), commit, g.p.Voters())
	})
}

func (g *group) shutdown() error {
	g.stopped.Store(true)
	g.transport.installs.end()
	close(g.transport.stop)
	err := g.raft.Shutdown().Error()
	g.transport.installs.all.Wait()
	g.tasks.Wait()
	return err
}

// votersOf lists the voters of a configuration in its order.
func votersOf(c raft.Configuration) []int32 {
	var voters []int32
	for _, s := range c.Servers {
		if node, ok := nodeOf(s.ID); ok && s.Suffrage == raft.Voter {
			voters = append(voters, node)
		}
	}
	return voters
}
