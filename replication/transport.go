package replication

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// maxSendBytes bounds the record bytes of one append request. Raft counts
// entries only, and 64 of them may hold 64 MiB.
const maxSendBytes = 4 << 20

// links carries raft's requests between nodes. A node without peers has none.
type links interface {
	// call sends a request to a group's replica on another node and waits for
	// the answer. It returns soon after stop is closed.
	call(to int32, id PartitionID, request any, data io.Reader, stop <-chan struct{}) (answer any, err error)
}

// transport is raft's Transport of one group: it adds record bytes to what is
// sent, bounds what a follower may believe, and remembers how far each follower
// came. Nothing leaves it once the group's disk failed.
type transport struct {
	id       PartitionID
	self     int32
	links    links
	store    *store
	matched  func()
	consumer chan raft.RPC
	stop     chan struct{}

	mu    sync.Mutex
	peers map[int32]peer
}

// A peer is what the leader knows of a follower from its answers.
type peer struct {
	match    uint64    // last index known to be equal
	contact  time.Time // of its last answer
	end      uint64    // the leader's last index at that time
	caughtUp time.Time // when it last held all that the leader had
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
)

func newTransport(id PartitionID, self int32, l links, s *store, matched func()) *transport {
	return &transport{
		id: id, self: self, links: l, store: s, matched: matched,
		consumer: make(chan raft.RPC, 16), stop: make(chan struct{}), peers: make(map[int32]peer),
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
	return candidateName(node)
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

// AppendEntriesPipeline is left to a later transport; raft sends one by one.
func (t *transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries sends entries with their bytes. It may send fewer than asked
// and then shortens args, by which raft measures its progress.
func (t *transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := t.store.hydrate(args.Entries); err != nil {
		return err
	}
	args.Entries = bounded(args.Entries)
	out, err := request[raft.AppendEntriesResponse](t, id, args, nil)
	if err != nil {
		return err
	}
	*resp = *out
	t.note(id, args, resp)
	return nil
}

// bounded keeps as many entries as fit maxSendBytes, at least one.
func bounded(entries []*raft.Log) []*raft.Log {
	size := 0
	for i, e := range entries {
		if size += len(e.Data); size > maxSendBytes && i > 0 {
			return entries[:i]
		}
	}
	return entries
}

// note remembers a follower's answer.
func (t *transport) note(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) {
	node, ok := nodeOf(id)
	if !ok || resp.Term > args.Term {
		return
	}
	t.mu.Lock()
	p := t.peers[node]
	before, now, end := p.match, time.Now(), t.store.log.LastIndex()
	if resp.Success {
		p.match = max(p.match, args.PrevLogEntry+uint64(len(args.Entries)))
	}
	switch { // as Kafka's Replica.updateFetchState
	case p.match >= end:
		p.caughtUp = now
	case p.match >= p.end && p.end > 0:
		p.caughtUp = p.contact
	}
	p.contact, p.end = now, end
	t.peers[node] = p
	t.mu.Unlock()
	if p.match > before {
		t.matched()
	}
}

// peer is what is known of a follower in this leadership.
func (t *transport) peer(node int32) peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[node]
}

// forget starts a leadership knowing nothing of the followers.
func (t *transport) forget() {
	t.mu.Lock()
	clear(t.peers)
	t.mu.Unlock()
}

// RequestVote asks for a vote.
func (t *transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return into(resp)(request[raft.RequestVoteResponse](t, id, args, nil))
}

// RequestPreVote asks whether a vote would be given.
func (t *transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return into(resp)(request[raft.RequestPreVoteResponse](t, id, args, nil))
}

// InstallSnapshot sends the boundary to a follower that is behind it.
func (t *transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return into(resp)(request[raft.InstallSnapshotResponse](t, id, args, data))
}

// TimeoutNow tells a follower to elect itself.
func (t *transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return into(resp)(request[raft.TimeoutNowResponse](t, id, args, nil))
}

func into[R any](resp *R) func(*R, error) error {
	return func(out *R, err error) error {
		if err == nil {
			*resp = *out
		}
		return err
	}
}

// request sends one request to the replica on a server and checks its answer's type.
func request[R any](t *transport, id raft.ServerID, args any, data io.Reader) (*R, error) {
	node, ok := nodeOf(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("server id %q is not a node id", id)
	case t.links == nil:
		return nil, errNoLink
	case t.store.failed.Load():
		return nil, errOffline
	}
	answer, err := t.links.call(node, t.id, args, data, t.stop)
	if err != nil {
		return nil, err
	}
	out, ok := answer.(*R)
	if !ok {
		return nil, fmt.Errorf("answer is a %T", answer)
	}
	return out, nil
}

var errOffline = errors.New("replication: replica is offline")

// receive hands another node's request to raft and returns raft's answer.
func (t *transport) receive(req any, data io.Reader) (any, error) {
	if a, ok := req.(*raft.AppendEntriesRequest); ok {
		t.limit(a)
	}
	answer := make(chan raft.RPCResponse, 1)
	select {
	case t.consumer <- raft.RPC{Command: req, Reader: data, RespChan: answer}:
	case <-t.stop:
		return nil, errOffline
	}
	select {
	case r := <-answer:
		if t.store.failed.Load() {
			return nil, errOffline // what it says may not be on disk
		}
		return r.Response, r.Error
	case <-t.stop:
		return nil, errOffline
	}
}

// limit keeps raft from committing entries of its own that this request did
// not compare, and moves a request that begins below the boundary up to it:
// everything there is committed and needs no comparing (hard-22b).
func (t *transport) limit(a *raft.AppendEntriesRequest) {
	b := t.store.log.Boundary()
	if len(a.Entries) > 0 && a.PrevLogEntry < b.Index {
		drop := min(b.Index-a.PrevLogEntry, uint64(len(a.Entries)))
		a.Entries = a.Entries[drop:]
		if a.PrevLogEntry+drop == b.Index {
			a.PrevLogEntry, a.PrevLogTerm = b.Index, b.Term
		} else {
			a.PrevLogEntry, a.PrevLogTerm = 0, 0
		}
	}
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
}

// kick makes this replica stand for election at once, without a pre-vote.
func (t *transport) kick() {
	rpc := raft.RPC{
		Command:  &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}},
		RespChan: make(chan raft.RPCResponse, 1),
	}
	select {
	case t.consumer <- rpc:
	case <-t.stop:
	}
}

func serverID(node int32) raft.ServerID { return raft.ServerID(strconv.Itoa(int(node))) }

func serverAddress(node int32) raft.ServerAddress {
	return raft.ServerAddress(strconv.Itoa(int(node)))
}

func nodeOf(id raft.ServerID) (int32, bool) {
	n, err := strconv.ParseInt(string(id), 10, 32)
	return int32(n), err == nil
}
