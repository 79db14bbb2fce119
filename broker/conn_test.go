package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// startServer serves a table on an in-memory network.
func startServer(t *testing.T, static map[string]string, apis ...protocol.API) (*server, *memnet.Network) {
	t.Helper()
	return startLogging(t, slog.DiscardHandler, static, apis...)
}

func startLogging(t *testing.T, lines slog.Handler, static map[string]string, apis ...protocol.API) (*server, *memnet.Network) {
	t.Helper()
	table, err := protocol.NewTable(apis...)
	if err != nil {
		t.Fatal(err)
	}
	s := mustSettings(t, static)
	network := memnet.New()
	l, err := network.Listen("tcp", "127.0.0.1:9092")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(table, func() *settings { return s }, slog.New(lines), new(bufferPool))
	srv.serve(l, "PLAINTEXT")
	return srv, network
}

func dial(t *testing.T, network *memnet.Network) net.Conn {
	t.Helper()
	c, err := network.Dial(t.Context(), "tcp", "127.0.0.1:9092")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send writes a request with a correlation id of its own.
func send(t *testing.T, c net.Conn, correlation int32, r kmsg.Request) {
	t.Helper()
	b := []byte{0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(r.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(r.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, 0xff, 0xff) // no client id
	if r.IsFlexible() {
		b = append(b, 0)
	}
	b = r.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// receive reads one reply and returns its correlation id.
func receive(t *testing.T, r *bufio.Reader) int32 {
	t.Helper()
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Discard(int(binary.BigEndian.Uint32(head)) - 4); err != nil {
		t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:]))
}

func stop(t *testing.T, s *server) {
	t.Helper()
	if err := s.stop(context.WithoutCancel(t.Context()), func() {}); err != nil {
		t.Error(err)
	}
	if n := s.connections(); n != 0 {
		t.Errorf("%d connections after stop", n)
	}
}

func heartbeat(wait func(context.Context) error) protocol.API {
	return protocol.On(0, 4, func(ctx context.Context, _ *kmsg.HeartbeatRequest, _ *kmsg.HeartbeatResponse) error { return wait(ctx) })
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(ctx context.Context) error {
			time.Sleep(time.Duration(50-protocol.RequestFrom(ctx).CorrelationID) * time.Millisecond)
			return nil
		}))
		c := dial(t, network)
		for i := range int32(50) {
			send(t, c, i, kmsg.NewPtrHeartbeatRequest())
		}
		r := bufio.NewReader(c)
		for i := range int32(50) {
			if got := receive(t, r); got != i {
				t.Fatalf("answer %d has correlation id %d", i, got)
			}
		}
		stop(t, s)
	})
}

func TestWaitingRequestEndsWhenThePeerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s, network := startServer(t, nil, heartbeat(func(ctx context.Context) error {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		}))
		c := dial(t, network)
		send(t, c, 1, kmsg.NewPtrHeartbeatRequest())
		send(t, c, 2, kmsg.NewPtrHeartbeatRequest()) // read ahead, not lost
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, errPeerGone) {
			t.Errorf("the request ended with %v", err)
		}
		stop(t, s)
	})
}

func TestReadAheadIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		}))
		c := dial(t, network)
		r := bufio.NewReader(c)
		for i := range int32(3) {
			send(t, c, i, kmsg.NewPtrHeartbeatRequest())
			time.Sleep(300 * time.Millisecond)
		}
		for i := range int32(3) {
			if got := receive(t, r); got != i {
				t.Fatalf("answer %d has correlation id %d", i, got)
			}
		}
		stop(t, s)
	})
}

func TestStopEndsWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		for range 3 {
			send(t, dial(t, network), 1, kmsg.NewPtrHeartbeatRequest())
		}
		dial(t, network) // idle
		synctest.Wait()
		began := time.Now()
		stop(t, s)
		if took := time.Since(began); took > time.Second {
			t.Errorf("stop took %v", took)
		}
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	for name, static := range map[string]map[string]string{
		"in all":          {"max.connections": "1"},
		"from one ip":     {"max.connections.per.ip": "1"},
		"by an exception": {"max.connections.per.ip": "9", "max.connections.per.ip.overrides": "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, network := startServer(t, static, heartbeat(func(context.Context) error { return nil }))
				first, second := dial(t, network), dial(t, network)
				if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the second connection: %v", err)
				}
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				third := dial(t, network)
				send(t, third, 3, kmsg.NewPtrHeartbeatRequest())
				if got := receive(t, bufio.NewReader(third)); got != 3 {
					t.Errorf("correlation id %d", got)
				}
				stop(t, s)
			})
		})
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, map[string]string{"connections.max.idle.ms": "60000"}, heartbeat(func(context.Context) error { return nil }))
		c := dial(t, network)
		send(t, c, 1, kmsg.NewPtrHeartbeatRequest())
		receive(t, bufio.NewReader(c))
		if took := untilClosed(t, c); took != time.Minute {
			t.Errorf("closed after %v", took)
		}
		stop(t, s)
	})
}

// untilClosed is how long it takes until the peer closes a connection.
func untilClosed(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	return time.Since(began)
}

// A connection has less time for its first request than for later ones, and no
// more for one that comes byte by byte. The log says who and why.
func TestFirstRequestComesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		s, network := startLogging(t, slog.NewTextHandler(&lines, nil), map[string]string{"oncelog.first.request.max.ms": "3000"}, heartbeat(func(context.Context) error { return nil }))
		if took := untilClosed(t, dial(t, network)); took != 3*time.Second {
			t.Errorf("without a byte: closed after %v", took)
		}
		slow := dial(t, network)
		began := time.Now()
		for {
			if _, err := slow.Write([]byte{0}); err != nil { // the length of 0 is whole with its fourth byte
				break
			}
			time.Sleep(2 * time.Second)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("byte by byte: closed after %v", took)
		}
		stop(t, s)
		if text := lines.String(); strings.Count(text, "no whole request after 3s") != 2 || !strings.Contains(text, "peer=127.0.0.1:") {
			t.Errorf("the log says %s", text)
		}
	})
}

func TestOversizedRequestClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, map[string]string{"socket.request.max.bytes": "1000"}, heartbeat(func(context.Context) error { return nil }))
		c := dial(t, network)
		if _, err := c.Write(binary.BigEndian.AppendUint32(nil, 1001)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v", err)
		}
		stop(t, s)
	})
}

// A connection that was quiet, in the middle of a frame or between two, is
// served as any other.
func TestQuietConnectionIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(context.Context) error { return nil }))
		c := dial(t, network)
		r := bufio.NewReader(c)
		for i := range int32(3) {
			send(t, c, i, kmsg.NewPtrHeartbeatRequest())
			if got := receive(t, r); got != i {
				t.Fatalf("correlation id %d, want %d", got, i)
			}
			time.Sleep(2 * quietAfter)
		}
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrHeartbeatRequest(), 7)
		for _, b := range frame { // a byte at a time, each after a rest
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * quietAfter)
		}
		if got := receive(t, r); got != 7 {
			t.Errorf("correlation id %d, want 7", got)
		}
		stop(t, s)
	})
}

func TestManyIdleConnectionsCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(context.Context) error { return nil }))
		conns := make([]net.Conn, 200)
		for i := range conns {
			conns[i] = dial(t, network)
			send(t, conns[i], 1, kmsg.NewPtrHeartbeatRequest())
			receive(t, bufio.NewReaderSize(conns[i], 16))
		}
		time.Sleep(2 * quietAfter)
		synctest.Wait()
		s.each(func(k *conn) {
			if k.reader != nil {
				t.Error("a quiet connection holds a reader")
			}
		})
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		stop(t, s)
	})
}

// A connection has a reader of the size of its requests.
func TestReaderGrowsWithRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(context.Context) error { return nil }))
		c := dial(t, network)
		r := bufio.NewReader(c)
		large := kmsg.NewPtrHeartbeatRequest()
		large.Group = strings.Repeat("g", 2*smallReader)
		for i, request := range []*kmsg.HeartbeatRequest{kmsg.NewPtrHeartbeatRequest(), large, kmsg.NewPtrHeartbeatRequest()} {
			send(t, c, int32(i), request)
			if got := receive(t, r); got != int32(i) {
				t.Fatalf("correlation id %d, want %d", got, i)
			}
			want := smallReader
			if i > 0 {
				want = readerSize
			}
			synctest.Wait()
			s.each(func(k *conn) {
				if size := k.reader.Size(); size != want {
					t.Errorf("after request %d the reader has %d bytes, want %d", i, size, want)
				}
			})
		}
		stop(t, s)
	})
}
