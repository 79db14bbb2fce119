package nemesis

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// A port that was given is given to nobody else, though it is closed until the
// process that it was taken for listens there.
func TestListenLowGivesAPortOnce(t *testing.T) {
	given := map[string]bool{}
	for range 1000 {
		l, err := ListenLow()
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if given[address] {
			t.Fatalf("%s was given twice, the second time as one of %d", address, len(given)+1)
		}
		given[address] = true
	}
}

// A pipe is a connection from one node of a mesh to the other, from both ends.
type pipe struct {
	*testing.T
	dialled, accepted net.Conn
}

// newPair is a mesh of two nodes, and a listener for each.
func newPair(t *testing.T) (*Mesh, map[int32]net.Listener) {
	t.Helper()
	targets, listeners := map[int32]string{}, map[int32]net.Listener{}
	for id := int32(1); id <= 2; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		targets[id], listeners[id] = l.Addr().String(), l
	}
	m, err := NewMesh(targets)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, listeners
}

// open dials node 2 as node 1 does.
func open(t *testing.T, m *Mesh, listeners map[int32]net.Listener) pipe {
	t.Helper()
	dialled, err := net.Dial("tcp", m.Address(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := listeners[2].Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return pipe{t, dialled, accepted}
}

func (p pipe) say(from net.Conn, text string) {
	p.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		p.Fatal(err)
	}
}

func (p pipe) hear(at net.Conn, want string) {
	p.Helper()
	at.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(at, got); err != nil || string(got) != want {
		p.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

func (p pipe) hearNothing(at net.Conn) {
	p.Helper()
	at.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := at.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.Fatalf("heard %d bytes, %v, want nothing", n, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestACutWayHoldsBytesUntilItIsHealed(t *testing.T) {
	m, listeners := newPair(t)
	p := open(t, m, listeners)
	p.say(p.dialled, "a")
	p.hear(p.accepted, "a")
	must(t, m.Cut(1, 2))
	p.say(p.dialled, "b")
	p.say(p.accepted, "c")
	p.hear(p.dialled, "c") // the other way is as it was
	p.hearNothing(p.accepted)
	if got := m.Ways(); !slices.Equal(got, []string{"1->2 cut"}) {
		t.Errorf("ways %v", got)
	}
	must(t, m.Cut(2, 1))
	p.say(p.accepted, "d")
	p.hearNothing(p.dialled)
	must(t, m.Heal())
	p.hear(p.accepted, "b")
	p.hear(p.dialled, "d")
}

func TestTheEndOfAConnectionIsNotHeardThroughACut(t *testing.T) {
	m, listeners := newPair(t)
	p := open(t, m, listeners)
	must(t, m.Cut(1, 2))
	p.dialled.Close()
	p.hearNothing(p.accepted)
	must(t, m.Heal())
	p.accepted.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.accepted.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want the end of the connection", err)
	}
}

func TestADialThroughACutWaits(t *testing.T) {
	m, listeners := newPair(t)
	must(t, m.Cut(2, 1))
	dialled, err := net.Dial("tcp", m.Address(1, 2))
	must(t, err)
	defer dialled.Close()
	listeners[2].(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Millisecond))
	if _, err := listeners[2].Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("accepted, %v, want nothing", err)
	}
	listeners[2].(*net.TCPListener).SetDeadline(time.Time{})
	must(t, m.Heal())
	accepted, err := listeners[2].Accept()
	must(t, err)
	accepted.Close()
}

func TestNobodyListensWhereANodeIsDown(t *testing.T) {
	m, listeners := newPair(t)
	must(t, m.Down(2))
	if c, err := net.Dial("tcp", m.Address(1, 2)); err == nil {
		c.Close()
		t.Error("a node that is down was reached")
	}
	must(t, m.Cut(1, 2)) // through a cut nobody learns that
	c, err := net.Dial("tcp", m.Address(1, 2))
	must(t, err)
	c.Close()
	must(t, m.Heal())
	held, err := listeners[2].Accept() // what that dial came to in the end
	must(t, err)
	held.Close()
	must(t, m.Up(2))
	p := open(t, m, listeners)
	p.say(p.dialled, "a")
	p.hear(p.accepted, "a")
	if err := m.Cut(1, 3); err == nil {
		t.Error("a link to nobody was cut")
	}
}

func TestASlowWayTakesItsTime(t *testing.T) {
	m, listeners := newPair(t)
	p := open(t, m, listeners)
	const delay = 50 * time.Millisecond
	must(t, m.Slow(1, 2, delay))
	began := time.Now()
	p.say(p.dialled, "a")
	p.hear(p.accepted, "a")
	if took := time.Since(began); took < delay {
		t.Errorf("heard after %v, want %v at least", took, delay)
	}
	must(t, m.Slow(1, 2, time.Hour))
	p.say(p.dialled, "b")
	must(t, m.Heal()) // who waits does not wait for the hour
	p.hear(p.accepted, "b")
}
