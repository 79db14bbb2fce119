package verify

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A server answers every request with an empty frame, and hands over what came.
type server struct {
	net.Listener
	came chan []byte
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l, make(chan []byte, 10)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	for {
		size := make([]byte, 4)
		if _, err := io.ReadFull(c, size); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		s.came <- body
		if _, err := c.Write([]byte{0, 0, 0, 0}); err != nil {
			return
		}
	}
}

// frame is a request of an API key, as a whole.
func frame(key uint16) []byte {
	b := binary.BigEndian.AppendUint32(nil, 10)
	b = binary.BigEndian.AppendUint16(b, key)
	return append(b, make([]byte, 8)...)
}

// a life with these mishaps, and one connection of it to s.
func lived(t *testing.T, s *server, m Mishaps) (*life, net.Conn) {
	t.Helper()
	l := &Load{options: Options{Mishaps: m, Dial: new(net.Dialer).DialContext}, recorder: NewRecorder()}
	one := l.born(t.Context(), "p", "p/0")
	one.copies = true
	t.Cleanup(func() {
		one.end()
		l.copies.Wait()
	})
	c, err := one.dial(l.options.Dial)(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return one, c
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (s *server) want(t *testing.T, keys ...uint16) {
	t.Helper()
	for _, key := range keys {
		select {
		case b := <-s.came:
			if got := binary.BigEndian.Uint16(b); got != key {
				t.Errorf("request of key %d came, want %d", got, key)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no request of key %d came", key)
		}
	}
}

func TestProducersRequestsComeAgain(t *testing.T) {
	s := newServer(t)
	one, c := lived(t, s, Mishaps{Late: 1})
	write(t, c, frame(3)) // Metadata is no producer's
	write(t, c, frame(26))
	s.want(t, 3, 26, 26)
	one.load.copies.Wait()
	if h := one.load.recorder.History(); len(h) != 1 || h[0].Value != LateCopy || h[0].Process != "p/0" || h[0].Request != "EndTxn" {
		t.Errorf("recorded %v, want one late copy", h)
	}
	select {
	case b := <-s.came:
		t.Errorf("%v came as well", b)
	default:
	}
}

func TestAnAnswerGetsLost(t *testing.T) {
	s := newServer(t)
	_, c := lived(t, s, Mishaps{Lost: 1})
	write(t, c, frame(3))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatalf("%v, want the answer to a request that nothing happens to", err)
	}
	write(t, c, frame(0))
	s.want(t, 3, 0) // the broker acts all the same
	if _, err := c.Read(make([]byte, 4)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want the end of the connection", err)
	}
}

func TestAFrozenClientSaysAndHearsNothing(t *testing.T) {
	s := newServer(t)
	one, c := lived(t, s, Mishaps{})
	write(t, c, frame(3))
	s.want(t, 3)
	one.freeze()
	written, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		c.Write(frame(0))
	}()
	go func() {
		defer close(heard)
		c.Read(make([]byte, 4))
	}()
	select {
	case <-written:
		t.Error("a frozen client said something")
	case <-heard:
		t.Error("a frozen client heard something")
	case <-time.After(30 * time.Millisecond):
	}
	one.thaw()
	<-written
	<-heard
	s.want(t, 0)
}

func TestAKilledClientSaysNothingMore(t *testing.T) {
	s := newServer(t)
	one, c := lived(t, s, Mishaps{})
	write(t, c, frame(3))
	one.kill()
	if _, err := c.Write(frame(3)); err == nil {
		t.Error("a killed client wrote")
	}
	if _, err := one.dial(one.load.options.Dial)(t.Context(), "tcp", s.Addr().String()); !errors.Is(err, errDead) {
		t.Errorf("%v, want no connection of a killed client", err)
	}
	if one.ctx.Err() == nil || one.body.Err() == nil {
		t.Error("what the client does goes on")
	}
	if h := one.load.recorder.History(); len(h) != 1 || h[0].Value != ClientKill || h[0].Process != "p/0" {
		t.Errorf("recorded %v, want the kill", h)
	}
	one.kill() // once is enough
	if len(one.load.recorder.History()) != 1 {
		t.Error("killed twice")
	}
}

func TestNothingHappensToClientsOfACalmLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Load{options: Options{Mishaps: Mishaps{Lifetime: time.Minute, Lost: 1}}, recorder: NewRecorder()}
		one := l.born(t.Context(), "p", "p/0")
		defer one.end()
		if !one.mishap(1) {
			t.Error("nothing happens to clients though the load is not calm")
		}
		l.Calm()
		time.Sleep(time.Hour)
		if one.ctx.Err() != nil || one.mishap(1) {
			t.Errorf("context: %v; want a client that nothing happens to", one.ctx.Err())
		}
	})
}

func TestAClientIsKilledWithinItsTime(t *testing.T) {
	l := &Load{options: Options{Mishaps: Mishaps{Lifetime: time.Millisecond}}, recorder: NewRecorder()}
	one := l.born(t.Context(), "p", "p/0")
	defer one.end()
	select {
	case <-one.ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("it lives")
	}
	if other := l.born(t.Context(), "idempotent-0", "idempotent-0/0"); other.timer != nil {
		t.Error("the producer that outlives everything is to be killed")
	}
}
