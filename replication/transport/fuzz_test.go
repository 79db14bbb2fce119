package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"runtime"
	"testing"

	"github.com/hashicorp/raft"
)

// What another node sends, or who claims to be one: whatever the bytes, an error
// or a value that is the same when it was sent again, and no memory but for
// bytes that came.

// allocates fails when f allocates far more than what bytes that came are worth:
// the largest thing made of few is a heartbeat's request, of 56.
func allocates(t *testing.T, came int, f func()) {
	t.Helper()
	const others = 2 << 20 // of the fuzzer itself, meanwhile
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(others+64*came); took > most {
		t.Errorf("%d bytes allocated for %d that came, want at most %d", took, came, most)
	}
}

// FuzzRead reads frames until the bytes end: each body is what was sent.
func FuzzRead(f *testing.F) {
	frame := func(h header, body string) []byte {
		h.size = len(body)
		return append(h.put(nil), body...)
	}
	f.Add(frame(header{kind: kindPing, id: 1}, "\x00\x00\x00\x02\x01"), false)
	f.Add(append(frame(header{kind: kindAppend, id: 1}, "body"), frame(header{kind: kindAnswer, id: 2}, "")...), true)
	f.Add(header{size: maxData, kind: kindAppend}.put(nil), true)
	f.Add(header{size: maxControl + 1}.put(nil), false)
	f.Add(header{size: -1}.put(nil), false)
	f.Fuzz(func(t *testing.T, wire []byte, large bool) {
		c := newConn(nil, bufio.NewReaderSize(bytes.NewReader(wire), readBuffer), control)
		if large {
			c.class = data
		}
		allocates(t, len(wire), func() {
			for rest := wire; ; {
				h, b, err := c.read()
				if err != nil {
					return
				}
				if got, want := append(h.put(nil), *b.bytes...), rest[:headerSize+h.size]; !bytes.Equal(got, want) {
					t.Fatalf("read %x of %x", got, want)
				}
				rest = rest[headerSize+h.size:]
				b.release()
			}
		})
	})
}

func FuzzHello(f *testing.F) {
	f.Add(hello{class: data, from: 1, to: 2, cluster: "one", address: "localhost:9093", nonce: [nonceSize]byte{1}}.put(nil))
	f.Add(hello{}.put(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := bufio.NewReader(bytes.NewReader(wire))
		h, err := readHello(r)
		if err != nil {
			return
		}
		left, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := append(h.put(nil), left...); !bytes.Equal(got, wire) {
			t.Errorf("%x became %+v and %x", wire, h, got)
		}
	})
}

// requests are one of each kind that raft sends.
func requests() []any {
	h := rpcHeader(1)
	return []any{
		&raft.AppendEntriesRequest{RPCHeader: h, Term: 3, PrevLogEntry: 7, PrevLogTerm: 2, LeaderCommitIndex: 6, Entries: []*raft.Log{
			{Index: 8, Term: 3, Type: raft.LogCommand, Data: []byte("batch"), Extensions: []byte("x")}, {Index: 9, Term: 3, Type: raft.LogNoop},
		}},
		&raft.AppendEntriesRequest{RPCHeader: h, Term: 3},
		&raft.RequestVoteRequest{RPCHeader: h, Term: 4, LastLogIndex: 9, LastLogTerm: 3, LeadershipTransfer: true},
		&raft.RequestPreVoteRequest{RPCHeader: h, Term: 4, LastLogIndex: 9, LastLogTerm: 3},
		&raft.TimeoutNowRequest{RPCHeader: h},
		&Install{InstallSnapshotRequest: raft.InstallSnapshotRequest{RPCHeader: h, Term: 4, Configuration: []byte("c"), ConfigurationIndex: 5}, State: []byte("state")},
	}
}

func FuzzDecode(f *testing.F) {
	for _, request := range requests() {
		k, parts, err := encode(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(k), bytes.Join(parts, nil))
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		allocates(t, len(body), func() {
			request, err := decode(kind(k), 1, body)
			if err != nil {
				return
			}
			again, parts, err := encode(request)
			if err != nil || again != kind(k) {
				t.Fatalf("kind %d became %d, %v", k, again, err)
			}
			if second, err := decode(again, 1, bytes.Join(parts, nil)); err != nil || !reflect.DeepEqual(second, request) {
				t.Errorf("%+v became %+v, %v", request, second, err)
			}
		})
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	for k, answer := range map[kind]any{
		kindAppend:     &raft.AppendEntriesResponse{Term: 7, LastLog: 3, Success: true},
		kindHeartbeats: &raft.AppendEntriesResponse{Term: 7, NoRetryBackoff: true},
		kindVote:       &raft.RequestVoteResponse{Term: 7, Granted: true},
		kindPreVote:    &raft.RequestPreVoteResponse{Term: 7},
		kindTimeoutNow: &raft.TimeoutNowResponse{},
		kindInstall:    &raft.InstallSnapshotResponse{Term: 7, Success: true},
	} {
		b, err := encodeAnswer(answer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(k), b)
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		answer, err := decodeAnswer(kind(k), 1, body)
		if err != nil {
			return
		}
		b, err := encodeAnswer(answer)
		if err != nil || len(b) != len(body) {
			t.Fatalf("%x became %x, %v", body, b, err)
		}
		if second, err := decodeAnswer(kind(k), 1, b); err != nil || !reflect.DeepEqual(second, answer) {
			t.Errorf("%+v became %+v, %v", answer, second, err)
		}
	})
}

// A sink is a connection that takes what is written to it.
type sink struct {
	net.Conn
	written bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) { return s.written.Write(b) }
func (s *sink) Close() error                { return nil }

// fuzzedMesh has one peer, which cannot be reached, and echoes calls.
func fuzzedMesh(f *testing.F) *Mesh {
	f.Helper()
	m, err := Open(Config{
		NodeID: 0,
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		Receive: func(_ int32, _ Group, request any) Wait {
			return func(context.Context) (any, error) {
				switch request.(type) {
				case *raft.AppendEntriesRequest:
					return &raft.AppendEntriesResponse{Term: 7, Success: true}, nil
				case *Install:
					return &raft.InstallSnapshotResponse{Term: 7}, nil
				}
				return nil, errors.New("refused")
			}
		},
		Call: func(_ context.Context, _ int32, request []byte) ([]byte, error) { return request, nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	m.SetPeers(map[int32]string{1: "nowhere"})
	f.Cleanup(func() {
		if err := m.Close(); err != nil {
			f.Error(err)
		}
	})
	return m
}

// FuzzDispatch gives a mesh one frame of node 1: it is refused, or answered with
// one frame of its id, and what waits for heartbeats and views finds them.
func FuzzDispatch(f *testing.F) {
	m := fuzzedMesh(f)
	for _, request := range requests() {
		k, parts, err := encode(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(k), bytes.Join(parts, nil))
	}
	beat := putAppend(Group{Partition: 1, Generation: 2}.put(nil), &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, PrevLogTerm: 2, LeaderCommitIndex: 6})
	f.Add(byte(kindHeartbeats), append(beat, beat...))
	f.Add(byte(kindPing), []byte("\x00\x00\x00\x02\x01\x00\x00\x00\x03\x00"))
	f.Add(byte(kindCall), []byte("\x00\x00\x00\x64ask"))
	f.Add(byte(kindAnswer), []byte{})
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		if len(body) > maxControl {
			return // is not read
		}
		out := &sink{}
		c := newConn(out, nil, control)
		allocates(t, len(body), func() {
			answered := make(chan bool, 1)
			h := header{size: len(body), kind: kind(k), id: 9}
			if err := m.dispatch(t.Context(), 1, c, h, body, func(ok bool) { answered <- ok }); err != nil {
				return
			}
			ok := <-answered
			checkAnswer(t, kind(k), body, out.written.Bytes(), ok)
		})
	})
}

// checkAnswer demands one whole frame that answers the request.
func checkAnswer(t *testing.T, k kind, request, wire []byte, answered bool) {
	t.Helper()
	c := newConn(nil, bufio.NewReader(bytes.NewReader(wire)), control)
	h, b, err := c.read()
	if err != nil || h.id != 9 || headerSize+h.size != len(wire) {
		t.Fatalf("the answer is %x: %+v, %v", wire, h, err)
	}
	want := kindRefusal
	if answered {
		want = kindAnswer
	}
	if h.kind != want {
		t.Fatalf("an answer of kind %d, want %d", h.kind, want)
	}
	switch k {
	case kindHeartbeats:
		if n := len(request) / beatSize * beatAnswer; h.size != n {
			t.Errorf("%d bytes answer %d of heartbeats, want %d", h.size, len(request), n)
		}
		for rest := *b.bytes; len(rest) > 0; rest = rest[beatAnswer:] {
			if _, err := beatResult(1, rest[:beatAnswer]); err != nil {
				t.Error(err)
			}
		}
	case kindCall:
		if !bytes.Equal(*b.bytes, request[4:]) {
			t.Errorf("the call %x is answered with %x", request, *b.bytes)
		}
	case kindPing, kindAppend, kindInstall:
		if !answered {
			t.Errorf("kind %d is refused: %s", k, *b.bytes)
		}
	}
	b.release()
}

// FuzzAnswers gives a link frames that answer what waits: each request is
// settled once, with its answer or an error.
func FuzzAnswers(f *testing.F) {
	m := fuzzedMesh(f)
	p := m.Peer(1)
	answer := func(id uint64, k kind, body string) []byte {
		return append(header{size: len(body), kind: k, id: id}.put(nil), body...)
	}
	f.Add(answer(uint64(kindVote), kindAnswer, "\x00\x00\x00\x00\x00\x00\x00\x07\x01"))
	f.Add(append(answer(uint64(kindPing), kindAnswer, ""), answer(uint64(kindAppend), kindRefusal, "why")...))
	f.Add(append(answer(uint64(kindHeartbeats), kindAnswer, string(make([]byte, beatAnswer))), answer(uint64(kindHeartbeats), kindPing, "")...))
	f.Fuzz(func(t *testing.T, wire []byte) {
		settled := map[kind]int{}
		l := &link{peer: p, class: data, pending: map[uint64]*request{}, up: make(chan struct{})}
		for k := kindAppend; k <= kindCall; k++ {
			l.pending[uint64(k)] = &request{kind: k, done: func(answer any, _ []byte, err error) {
				if settled[k]++; err == nil && answer != nil && k == kindCall {
					t.Errorf("a call is answered with %T", answer)
				}
			}}
		}
		c := newConn(&sink{}, bufio.NewReaderSize(bytes.NewReader(wire), readBuffer), data)
		allocates(t, len(wire), func() {
			c.close(l.readAnswers(c))
			l.abandon(c)
		})
		for k := kindAppend; k <= kindCall; k++ {
			if settled[k] != 1 {
				t.Errorf("a request of kind %d is settled %d times", k, settled[k])
			}
		}
	})
}
