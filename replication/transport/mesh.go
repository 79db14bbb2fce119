// Package transport carries requests between the nodes of a cluster: those of
// raft's groups, and those of one broker to another.
//
// Each node dials every other twice. The control connection carries pings,
// votes, coalesced heartbeats and small calls; the data connection carries
// appends and snapshots, so bytes never hold up a vote. Answers come back on the
// connection of their request. Who dials proves the cluster id, its node id and,
// where there is one, the shared secret before anything else is decoded.
//
// The package knows groups by number only, and no log.
package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Group names one replica group, and which generation of it a request means: a
// replica of another generation must not take it (hard-23).
type Group struct {
	TopicID    [16]byte
	Partition  int32
	Generation uint32
}

// A Config is what Open needs.
type Config struct {
	NodeID    int32
	ClusterID string
	Secret    []byte                                                      // shared by all nodes; nil: nodes prove nothing
	Address   string                                                      // where the others reach Listener
	Listener  net.Listener                                                // nil: nobody can dial this node
	Dial      func(ctx context.Context, address string) (net.Conn, error) // nil: TCP
	Receive   func(from int32, group Group, request any) Wait             // see Mesh
	Call      func(ctx context.Context, from int32, request []byte) ([]byte, error)
	Changed   func()           // a node was lost or came back, or says so of another; nil: nobody asks
	Connected func(node int32) // a connection for appends to it stands, perhaps not the first; nil: nobody asks
	Logger    *slog.Logger     // nil: silent

	PingInterval time.Duration // 0: 250 ms
	DeadAfter    time.Duration // 0: 1 s without an answer
	BeatInterval time.Duration // 0: 200 ms; heartbeats to one node wait so long for each other
}

var (
	// ErrUnreachable says that no connection to the node stands, or that it ended
	// before the answer came.
	ErrUnreachable = errors.New("transport: node is unreachable")
	// ErrRefused says that the other side does not welcome this node, and why. It
	// will not before somebody changes a configuration or ends a process.
	ErrRefused = errors.New("transport: refused")
	// ErrNotOpen says that the node does not have the group open, which may change.
	// Receive's Wait gives it on one side, Send on the other.
	ErrNotOpen = errors.New("transport: node does not have the group open")
	// ErrClosed says that this mesh is closed.
	ErrClosed = errors.New("transport: closed")
)

// A Wait waits for the answer to a request. The request's bytes are used for
// another when it returns an answer, and never again when it returns an error.
type Wait func(ctx context.Context) (answer any, err error)

// A Mesh is one node's connections to the others.
//
// Config.Receive is called in the order in which a node sent, by the goroutine
// that reads its connection: it puts the request in line and must not block. What
// it returns is called in a goroutine of its own. Config.Call may take its time;
// the request is lent to it.
type Mesh struct {
	cfg      Config
	began    time.Time
	run      incarnation // of this node
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	greeting chan struct{} // a token for each connection that has not said who it is

	stalls stalls

	mu      sync.Mutex
	pulsing bool // there were peers, so the pulse has begun
	peers   map[int32]*Peer
	inbound map[inboundKey]*conn  // the newest of each
	runs    map[int32]incarnation // whose those are
	closed  bool
}

// inboundKey names what a node may have one of.
type inboundKey struct {
	from  int32
	class class
}

// fenceAfter is how old this node's newest contact with a peer may be while it may
// take it that the peer hears it too. The two do not send at the same moment: what
// the peer asked last before the way broke may have been asked an interval earlier
// than what this node asked, and the peer counts from there (hard-24).
func (c *Config) fenceAfter() time.Duration { return c.DeadAfter - c.PingInterval }

// Open starts to listen. Nobody is dialled before SetPeers.
func Open(cfg Config) (*Mesh, error) {
	if cfg.Receive == nil || cfg.Call == nil {
		return nil, errors.New("transport: Receive and Call are needed")
	}
	if len(cfg.ClusterID) > maxName || len(cfg.Address) > maxName {
		return nil, fmt.Errorf("transport: cluster id %q or address %q is longer than %d bytes", cfg.ClusterID, cfg.Address, maxName)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Connected == nil {
		cfg.Connected = func(int32) {}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&cfg.PingInterval, 250 * time.Millisecond}, {&cfg.DeadAfter, time.Second}, {&cfg.BeatInterval, 200 * time.Millisecond}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.PingInterval >= cfg.DeadAfter {
		return nil, fmt.Errorf("transport: a ping every %v and dead after %v: want several pings before a node is dead", cfg.PingInterval, cfg.DeadAfter)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mesh{cfg: cfg, began: time.Now(), greeting: make(chan struct{}, maxGreeting), ctx: ctx, cancel: cancel, peers: map[int32]*Peer{}, inbound: map[inboundKey]*conn{}, runs: map[int32]incarnation{}}
	if _, err := rand.Read(m.run[:]); err != nil {
		cancel()
		return nil, fmt.Errorf("transport: %w", err)
	}
	if cfg.Listener != nil {
		m.tasks.Go(m.accept)
	}
	return m, nil
}

// SetPeers makes the given nodes, by their addresses, the ones to be connected
// to. What was known of a node at another address, or no longer named, is dropped.
func (m *Mesh) SetPeers(addresses map[int32]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for node, p := range m.peers {
		if addresses[node] != p.address {
			p.cancel()
			delete(m.peers, node)
		}
	}
	for node, address := range addresses {
		if node != m.cfg.NodeID && m.peers[node] == nil {
			m.peers[node] = m.newPeer(node, address)
		}
	}
	if len(m.peers) > 0 && !m.pulsing {
		m.pulsing = true
		m.tasks.Go(m.pulse)
	}
}

// Peer is what is known of another node, nil when it is not one of the peers.
func (m *Mesh) Peer(node int32) *Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[node]
}

// Peers lists the other nodes in no order.
func (m *Mesh) Peers() []*Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Peer, 0, len(m.peers))
	for _, p := range m.peers {
		list = append(list, p)
	}
	return list
}

// NodeID is this node's.
func (m *Mesh) NodeID() int32 { return m.cfg.NodeID }

// Close ends all connections and waits for what they started.
func (m *Mesh) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.cancel()
	for _, c := range m.inbound {
		c.close(ErrClosed)
	}
	m.mu.Unlock()
	var err error
	if m.cfg.Listener != nil {
		err = m.cfg.Listener.Close()
	}
	m.tasks.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
