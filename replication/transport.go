package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	mesh "github.com/oncelog/oncelog/replication/transport"
)

// maxSendBytes bounds the record bytes of one append request. Raft counts
// entries only, and 64 of them may hold 64 MiB.
const maxSendBytes = 4 << 20

// links carries raft's requests between nodes. A node without peers has none.
type links interface {
	// send sends a request to a group's replica on another node. done is called
	// once with the answer. The request's bytes may be used again when send returns.
	send(to int32, id PartitionID, generation uint32, request any, done func(answer any, err error))
	// up is closed while the node can be reached.
	up(to int32) <-chan struct{}
	// pull asks another node for a piece of a compacted log.
	pull(ctx context.Context, to int32, request []byte) ([]byte, error)
	// contact is what is known of the last exchange with a node.
	contact(to int32) contact
}

// A contact is what a node knows of its exchange with another.
type contact struct {
	near    bool      // it answered a request that is too young for it to have given this node up
	resumed time.Time // when an answer came after a silence in which others may have elected a leader; zero: never
}

// transport is raft's Transport of one group: it adds record bytes to what is
// sent, bounds what a follower may believe, and remembers how far each follower
// came. Nothing leaves it once the group's disk failed.
type transport struct {
	id       PartitionID
	past     Recovery
	self     int32
	links    links
	store    *store
	matched  func()
	see      func(term uint64) // of another replica that is newer than any before
	term     func() uint64     // raft's; set before anything is received
	consumer chan raft.RPC
	stop     chan struct{}
	staging  chan struct{} // a token: one snapshot is brought here at a time
	throttle *throttle
	remember func() // has the slot say that nothing is forgotten any more

	newcomer, forgetful atomic.Bool   // no vote is given
	forgiven            atomic.Bool   // it is, though forgetful
	prompt              bool          // followers hear of a commit at once
	newest              atomic.Uint64 // term that another replica sent
	verifying           atomic.Bool   // the followers are asked if they have this leader still

	mu    sync.Mutex
	began time.Time // this leadership
	peers map[int32]peer

	installs tasks
	votes    campaign
	arrived  chan struct{} // guarded by mu: closed when a follower opens the group
	agreed   chan struct{} // guarded by mu: closed when a follower answers in this leadership's term; nil while nobody waits

	resting   atomic.Int32  // how many appends are kept back
	stirred   chan struct{} // guarded by mu: closed when they are to rest no more; nil while there is none
	committed atomic.Uint64 // as this replica has applied it
}

// maxInLine bounds the requests that wait for raft's main goroutine. A leader
// sends two appends and a heartbeat at a time.
const maxInLine = 64

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
)

func newTransport(id PartitionID, past Recovery, self int32, l links, s *store, th *throttle, matched func(), see func(uint64)) *transport {
	return &transport{
		id: id, past: past, self: self, links: l, store: s, matched: matched, see: see, staging: make(chan struct{}, 1), throttle: th,
		consumer: make(chan raft.RPC, maxInLine), stop: make(chan struct{}), peers: make(map[int32]peer), arrived: make(chan struct{}),
	}
}

// Consumer is where raft takes requests from.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// LocalAddr is the node's id; links resolve it.
func (t *transport) LocalAddr() raft.ServerAddress { return serverAddress(t.self) }

// EncodePeer names a node on a vote.
func (t *transport) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte {
	node, ok := nodeOf(id)
	if !ok {
		return nil
	}
	return mesh.CandidateName(node)
}

// DecodePeer is the address of a node that a request names.
func (t *transport) DecodePeer(name []byte) raft.ServerAddress {
	node, ok := candidateNode(name)
	if !ok {
		return ""
	}
	return serverAddress(node)
}

// SetHeartbeatHandler is not used: heartbeats wait in line with the rest.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries sends entries with their bytes. It may send fewer than asked
// and then shortens args, by which raft measures its progress.
//
// A follower that cannot be reached or has not opened the group is waited for:
// after failures raft waits too, up to seconds, and would go on doing so when
// the follower is back.
func (t *transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	for {
		if err := t.await(id); err != nil {
			return err
		}
		arrived := t.arrival()
		err := t.appendOnce(id, args, resp)
		if !errors.Is(err, mesh.ErrNotOpen) || !t.awaitArrival(arrived) {
			return err
		}
	}
}

func (t *transport) appendOnce(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	type result struct {
		answer *raft.AppendEntriesResponse
		err    error
	}
	wait := make(chan result, 1)
	t.sendAppend(id, args, func(answer *raft.AppendEntriesResponse, err error) { wait <- result{answer, err} })
	select {
	case r := <-wait:
		if r.err == nil {
			*resp = *r.answer
		}
		return r.err
	case <-t.stop:
		return errOffline
	}
}

// reachTimeout bounds the wait for a follower that cannot be reached.
const reachTimeout = 5 * time.Second

func (t *transport) await(id raft.ServerID) error {
	node, ok := nodeOf(id)
	if !ok || t.links == nil {
		return errNoLink
	}
	up := t.links.up(node)
	select {
	case <-up:
		return nil
	default:
	}
	late := time.NewTimer(reachTimeout)
	defer late.Stop()
	select {
	case <-up:
		return nil
	case <-late.C:
		return fmt.Errorf("node %d: %w", node, errNoLink)
	case <-t.stop:
		return errOffline
	}
}

// arrival is closed when a follower opens the group.
func (t *transport) arrival() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.arrived
}

// opened notes that a follower has the group open.
func (t *transport) opened() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.arrived)
	t.arrived = make(chan struct{})
}

func (t *transport) awaitArrival(arrived <-chan struct{}) bool {
	late := time.NewTimer(reachTimeout)
	defer late.Stop()
	select {
	case <-arrived:
		return true
	case <-late.C:
	case <-t.stop:
	}
	return false
}

// tell sends a commit index to the followers that hold all up to it; the others
// get it with what they lack.
func (t *transport) tell(term, commit uint64, voters []int32) {
	for _, v := range voters {
		match := t.heard(v).match
		if v == t.self || match < commit {
			continue
		}
		row, err := t.store.log.Row(match)
		if err != nil {
			continue // compacted, or cut off by a newer leader
		}
		header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(t.self)), Addr: mesh.CandidateName(t.self)}
		request := &raft.AppendEntriesRequest{RPCHeader: header, Term: term, PrevLogEntry: match, PrevLogTerm: row.Term, LeaderCommitIndex: commit}
		sent := time.Now()
		post(t, serverID(v), request, func(answer *raft.AppendEntriesResponse, err error) {
			t.learn(serverID(v), request, answer, sent, err)
		})
	}
}

// sendAppend sends entries with their bytes, fewer where they would be too many. To
// a follower that lacks the boundary's own entry nothing is sent: the refusal has raft
// look for the entry before that one, which is not there, and install the boundary.
func (t *transport) sendAppend(id raft.ServerID, args *raft.AppendEntriesRequest, done func(*raft.AppendEntriesResponse, error)) {
	n := present(args.Entries)
	if n == 0 && len(args.Entries) > 0 {
		done(&raft.AppendEntriesResponse{Term: args.Term, LastLog: args.PrevLogEntry, NoRetryBackoff: true}, nil)
		return
	}
	args.Entries = args.Entries[:n]
	admitted, err := t.admit(id, args.Entries)
	if err != nil {
		done(nil, err)
		return
	}
	arena := arenas.Get().(*[]byte)
	n, err = t.store.hydrate(args.Entries, arena)
	if err != nil {
		arenas.Put(arena)
		admitted()
		done(nil, err)
		return
	}
	args.Entries = args.Entries[:n]
	sent := time.Now()
	var request any = args
	if len(args.Entries) == 0 && t.verifying.Load() {
		request = mesh.Urgent{AppendEntriesRequest: args}
	}
	post(t, id, request, func(answer *raft.AppendEntriesResponse, err error) {
		admitted()
		t.learn(id, args, answer, sent, err)
		done(answer, err)
	})
	for _, e := range args.Entries {
		if isBatch(e) {
			e.Data = nil // it lies in the arena
		}
	}
	if cap(*arena) <= 2*maxSendBytes {
		arenas.Put(arena)
	}
}

// arenas hold the record bytes of one append while it is sent.
var arenas = sync.Pool{New: func() any { return new([]byte) }}

// RequestVote asks for a vote.
func (t *transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.muted(); err != nil {
		return err
	}
	t.votes.ask()
	defer t.votes.answered()
	answer, err := request[raft.RequestVoteResponse](t, id, args)
	if err == nil {
		t.saw(answer.Term)
	}
	return into(resp)(answer, err)
}

// RequestPreVote asks whether a vote would be given.
func (t *transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.muted(); err != nil {
		return err
	}
	return into(resp)(request[raft.RequestPreVoteResponse](t, id, args))
}

// InstallSnapshot sends the boundary to a follower that is behind it.
func (t *transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	state, err := io.ReadAll(io.LimitReader(data, args.Size))
	if err != nil {
		return fmt.Errorf("read the boundary: %w", err)
	}
	answer, err := request[raft.InstallSnapshotResponse](t, id, &mesh.Install{InstallSnapshotRequest: *args, State: state})
	if err == nil {
		t.saw(answer.Term)
	}
	return into(resp)(answer, err)
}

// TimeoutNow tells a follower to elect itself.
func (t *transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return into(resp)(request[raft.TimeoutNowResponse](t, id, args))
}

func into[R any](resp *R) func(*R, error) error {
	return func(out *R, err error) error {
		if err == nil {
			*resp = *out
		}
		return err
	}
}

// request sends one request to the replica on a server and waits for its answer.
func request[R any](t *transport, id raft.ServerID, args any) (*R, error) {
	type result struct {
		answer *R
		err    error
	}
	wait := make(chan result, 1)
	post(t, id, args, func(answer *R, err error) { wait <- result{answer, err} })
	select {
	case r := <-wait:
		return r.answer, r.err
	case <-t.stop:
		return nil, errOffline
	}
}

// post sends one request to the replica on a server and checks its answer's type.
func post[R any](t *transport, id raft.ServerID, args any, done func(*R, error)) {
	node, ok := nodeOf(id)
	switch {
	case !ok:
		done(nil, fmt.Errorf("server id %q is not a node id", id))
		return
	case t.links == nil:
		done(nil, errNoLink)
		return
	case t.store.failed.Load():
		done(nil, errOffline)
		return
	}
	t.links.send(node, t.id, t.past.Generation, args, func(answer any, err error) {
		out, ok := answer.(*R)
		if err == nil && !ok {
			err = fmt.Errorf("answer is a %T", answer)
		}
		done(out, err)
	})
}

var errOffline = errors.New("replication: replica is offline")

func serverID(node int32) raft.ServerID { return mesh.ServerID(node) }

func serverAddress(node int32) raft.ServerAddress { return raft.ServerAddress(mesh.ServerID(node)) }

func nodeOf(id raft.ServerID) (int32, bool) {
	n, err := strconv.ParseInt(string(id), 10, 32)
	return int32(n), err == nil
}
