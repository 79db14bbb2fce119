package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/protocol/memnet"
)

// A mesh under test, with what it was asked.
type node struct {
	*Mesh
	address string
	changes chan struct{}

	mu      sync.Mutex
	got     []any
	receive func(request any) (any, error) // nil: an append is a success
}

func (n *node) take(_ int32, _ Group, request any) Wait {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := request.(*raft.AppendEntriesRequest); ok {
		kept := *a
		kept.Entries = nil
		for _, e := range a.Entries {
			e := *e
			e.Data, e.Extensions = bytes.Clone(e.Data), bytes.Clone(e.Extensions)
			kept.Entries = append(kept.Entries, &e)
		}
		request = &kept
	}
	n.got = append(n.got, request)
	receive := n.receive
	return func(context.Context) (any, error) {
		if receive != nil {
			return receive(request)
		}
		return &raft.AppendEntriesResponse{Term: 7, Success: true}, nil
	}
}

// answer has requests answered by f from now on.
func (n *node) answer(f func(any) (any, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.receive = f
}

func (n *node) requests() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.got
}

func hostOf(id int32) string { return fmt.Sprint("node ", id) }

// start opens a mesh on a network in memory.
func start(t *testing.T, network *memnet.Network, id int32, change func(*Config)) *node {
	t.Helper()
	n := &node{address: fmt.Sprintf("127.0.0.1:%d", 7000+id), changes: make(chan struct{}, 100)}
	host := network.Host(hostOf(id))
	listener, err := host.Listen("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		NodeID: id, ClusterID: "one", Address: n.address, Listener: listener, Receive: n.take,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return host.Dial(ctx, "tcp", address) },
		Call: func(_ context.Context, from int32, request []byte) ([]byte, error) {
			if string(request) == "fail" {
				return nil, errors.New("it failed")
			}
			return fmt.Appendf(nil, "%d says %s", from, request), nil
		},
		Changed: func() { n.changes <- struct{}{} },
	}
	if change != nil {
		change(&cfg)
	}
	if n.Mesh, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// join makes the nodes peers of each other and waits until they talk.
func join(t *testing.T, nodes ...*node) {
	t.Helper()
	addresses := map[int32]string{}
	for _, n := range nodes {
		addresses[n.NodeID()] = n.address
	}
	for _, n := range nodes {
		n.SetPeers(addresses)
	}
	for _, n := range nodes {
		for _, p := range n.Peers() {
			for !p.Alive() {
				<-n.changes
			}
			<-p.Up()
		}
	}
}

func send(t *testing.T, p *Peer, request any) (any, error) {
	t.Helper()
	type result struct {
		answer any
		err    error
	}
	wait := make(chan result, 1)
	p.Send(Group{TopicID: [16]byte{1, 2}, Partition: 3, Generation: 4}, request, func(a any, err error) { wait <- result{a, err} })
	r := <-wait
	return r.answer, r.err
}

func TestRequestsArriveAsTheyWereSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		h := rpcHeader(1)
		entries := []*raft.Log{
			{Index: 9, Term: 5, Type: raft.LogCommand, Extensions: []byte{3}, Data: bytes.Repeat([]byte("batch"), 40_000)},
			{Index: 10, Term: 5, Type: raft.LogNoop, Extensions: []byte{}, Data: []byte{}},
			{Index: 11, Term: 6, Type: raft.LogConfiguration, Extensions: []byte{}, Data: []byte("members")},
		}
		for _, c := range []struct{ request, answer any }{
			{&raft.AppendEntriesRequest{RPCHeader: h, Term: 6, PrevLogEntry: 8, PrevLogTerm: 5, LeaderCommitIndex: 7, Entries: entries}, &raft.AppendEntriesResponse{Term: 7, LastLog: 11, Success: true, NoRetryBackoff: true}},
			{&raft.AppendEntriesRequest{RPCHeader: h, Term: 6}, &raft.AppendEntriesResponse{Term: 7, LastLog: 12}},
			{&raft.RequestVoteRequest{RPCHeader: h, Term: 8, LastLogIndex: 3, LastLogTerm: 2, LeadershipTransfer: true}, &raft.RequestVoteResponse{Term: 8, Granted: true}},
			{&raft.RequestPreVoteRequest{RPCHeader: h, Term: 8, LastLogIndex: 3, LastLogTerm: 2}, &raft.RequestPreVoteResponse{Term: 9}},
			{&raft.TimeoutNowRequest{RPCHeader: h}, &raft.TimeoutNowResponse{}},
			{&Install{
				InstallSnapshotRequest: raft.InstallSnapshotRequest{RPCHeader: h, SnapshotVersion: raft.SnapshotVersionMax, Term: 8, LastLogIndex: 3, LastLogTerm: 2, Configuration: []byte("members"), ConfigurationIndex: 1, Size: 5},
				State:                  []byte("state"),
			}, &raft.InstallSnapshotResponse{Term: 8, Success: true}},
		} {
			two.answer(func(any) (any, error) { return c.answer, nil })
			got, err := send(t, one.Peer(2), c.request)
			if err != nil {
				t.Errorf("%T: %v", c.request, err)
				continue
			}
			received := two.requests()
			if last := received[len(received)-1]; !reflect.DeepEqual(last, c.request) {
				t.Errorf("received %+v\nwant     %+v", last, c.request)
			}
			clearHeader(got)
			if !reflect.DeepEqual(got, c.answer) {
				t.Errorf("%T answered %+v, want %+v", c.request, got, c.answer)
			}
		}
	})
}

// clearHeader drops what decoding adds.
func clearHeader(answer any) {
	field := reflect.ValueOf(answer).Elem().FieldByName("RPCHeader")
	field.Set(reflect.Zero(field.Type()))
}

func TestPipelinedRequestsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		const n = 100
		var wait sync.WaitGroup
		wait.Add(n)
		for i := range n {
			one.Peer(2).Send(Group{}, &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: uint64(i + 1)}, func(_ any, err error) {
				if err != nil {
					t.Error(err)
				}
				wait.Done()
			})
		}
		wait.Wait()
		for i, r := range two.requests() {
			if got := r.(*raft.AppendEntriesRequest).PrevLogEntry; got != uint64(i+1) {
				t.Fatalf("request %d follows index %d, want %d", i, got, i+1)
			}
		}
	})
}

// A thousand idle groups send heartbeats and idle appends, and few frames.
func TestHeartbeatsOfManyGroupsShareAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		before := one.Peer(2).links[control].lastID
		const n = 1000
		var wait sync.WaitGroup
		wait.Add(n)
		for i := range n {
			var request any = &raft.AppendEntriesRequest{Term: 3}
			if i%2 == 1 {
				request = Idle{&raft.AppendEntriesRequest{Term: 3, PrevLogEntry: uint64(i), PrevLogTerm: 2, LeaderCommitIndex: 1}}
			}
			one.Peer(2).Send(Group{Partition: int32(i)}, request, func(answer any, err error) {
				if err != nil || answer.(*raft.AppendEntriesResponse).Term != 7 {
					t.Errorf("heartbeat %d: %v, %v", i, answer, err)
				}
				wait.Done()
			})
		}
		wait.Wait()
		if frames := one.Peer(2).links[control].lastID - before; frames > 3 {
			t.Errorf("%d heartbeats took %d frames, want 1 and a ping or two", n, frames)
		}
		for i, r := range two.requests() {
			want := raft.AppendEntriesRequest{RPCHeader: rpcHeader(1), Term: 3}
			if i%2 == 1 {
				want.PrevLogEntry, want.PrevLogTerm, want.LeaderCommitIndex = uint64(i), 2, 1
			}
			if got := *r.(*raft.AppendEntriesRequest); !reflect.DeepEqual(got, want) {
				t.Fatalf("request %d arrived as %+v, want %+v", i, got, want)
			}
		}
	})
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		got, err := one.Peer(2).Call(t.Context(), []byte("hello"))
		if string(got) != "1 says hello" || err != nil {
			t.Errorf("Call = %q, %v", got, err)
		}
		if _, err := one.Peer(2).Call(t.Context(), []byte("fail")); err == nil || err.Error() != "node 2: it failed" {
			t.Errorf("Call = %v, want the peer's error", err)
		}
	})
}

// A peer that is there and says nothing is lost after a second: what waits for
// it is answered, and both sides are told.
func TestSilentPeerIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		hang := make(chan struct{})
		two.answer(func(any) (any, error) { <-hang; return nil, errors.New("late") })
		defer close(hang)
		before := time.Now()
		network.Cut(hostOf(2), hostOf(1)) // nothing gets through, and nothing says so
		if _, err := send(t, one.Peer(2), &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 1}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("append to a silent peer: %v, want %v", err, ErrUnreachable)
		}
		if took := time.Since(before); took < time.Second || took > 1500*time.Millisecond {
			t.Errorf("a silent peer was given up after %v, want about 1s", took)
		}
		if one.Peer(2).Alive() {
			t.Error("a silent peer counts as alive")
		}
		network.Heal(hostOf(2), hostOf(1))
		for !one.Peer(2).Alive() {
			<-one.changes
		}
	})
}

func TestPeersTellWhomTheyHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		nodes := []*node{start(t, network, 1, nil), start(t, network, 2, nil), start(t, network, 3, nil)}
		join(t, nodes...)
		told := func(alive bool) bool {
			got, known := nodes[0].Peer(2).Hears(3)
			return known && got == alive
		}
		for !told(true) {
			<-nodes[0].changes
		}
		if err := nodes[2].Close(); err != nil {
			t.Fatal(err)
		}
		for !told(false) {
			<-nodes[0].changes
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"another cluster", func(c *Config) { c.ClusterID = "other" }, `of cluster "other"`},
		{"no secret", func(c *Config) { c.Secret = nil }, "shared secret"},
		{"another secret", func(c *Config) { c.Secret = []byte("guess") }, "shared secret"},
		{"the same node id", func(c *Config) { c.NodeID = 2 }, "node.id must differ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memnet.New()
				secret := func(c *Config) { c.Secret = []byte("secret") }
				one := start(t, network, 1, func(cfg *Config) { secret(cfg); c.change(cfg) })
				two := start(t, network, 2, secret)
				raw, err := network.Dial(t.Context(), "tcp", two.address)
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				r := newReader(raw)
				if err := one.greet(raw, r, 2, control); err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
					t.Errorf("greeting = %v, want %q in it", err, c.want)
				}
			})
		})
	}
}

// What is not a node's greeting is refused before anything is allocated for it.
func TestKafkaBytesOnTheNodesListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one := start(t, network, 1, nil)
		raw, err := network.Dial(t.Context(), "tcp", one.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		if n, err := raw.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes, want the connection closed", n)
		}
	})
}

// A node that knows an address only is answered. One that has the id of a node
// that is there is told so, and keeps out until that has ended.
func TestVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		third := start(t, network, 3, nil)
		got, err := third.Visit(t.Context(), one.address, []byte("who is there"))
		if string(got) != "3 says who is there" || err != nil {
			t.Errorf("visit = %q, %v", got, err)
		}
		if _, err := third.Visit(t.Context(), one.address, []byte("fail")); err == nil || !bytes.Contains([]byte(err.Error()), []byte("it failed")) {
			t.Errorf("a visit that fails = %v", err)
		}
		if _, err := third.Visit(t.Context(), "127.0.0.1:1", nil); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("a visit to nobody = %v", err)
		}
		other := start(t, network, 4, func(c *Config) { c.ClusterID = "other" })
		if _, err := other.Visit(t.Context(), one.address, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("a visit from another cluster = %v, want ErrRefused", err)
		}
		double := start(t, network, 5, func(c *Config) { c.NodeID = 2 })
		if _, err := double.Visit(t.Context(), one.address, nil); !errors.Is(err, ErrRefused) || !bytes.Contains([]byte(err.Error()), []byte("another node with node.id 2")) {
			t.Errorf("a visit under a name that is taken = %v, want ErrRefused", err)
		}
		double.SetPeers(map[int32]string{1: one.address})
		time.Sleep(5 * time.Second)
		if double.Peer(1).Alive() || !one.Peer(2).Alive() {
			t.Error("a node took another's place")
		}
		if err := two.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if got, err := double.Visit(t.Context(), one.address, []byte("now")); string(got) != "2 says now" || err != nil {
			t.Errorf("a visit when the other has ended = %q, %v", got, err)
		}
	})
}
