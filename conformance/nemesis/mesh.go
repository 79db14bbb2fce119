package nemesis

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Mesh is a TCP proxy for each ordered pair of nodes. Nodes that are told the
// addresses of the proxies instead of each other's can be parted without the
// rights that a firewall wants.
//
// Cut holds the bytes that go from one node to another, on the connections of
// both; Heal delivers them, as a network does that was away for a while.
type Mesh struct {
	targets map[int32]string // where the nodes listen
	tasks   sync.WaitGroup
	done    chan struct{}

	mu    sync.Mutex
	links map[pair]*link
	ways  map[pair]way
	moved chan struct{} // closed and replaced whenever a way changes
	down  map[int32]bool
}

// A pair is from whom, to whom.
type pair struct{ from, to int32 }

func (p pair) back() pair { return pair{p.to, p.from} }

// A way is what happens to bytes from one node to another.
type way struct {
	Cut   bool
	Delay time.Duration // of each piece of pieceSize bytes at most
}

// pieceSize bounds what a slow way carries in its delay.
const pieceSize = 32 << 10

// A link is where a node dials another.
type link struct {
	pair
	address  string
	listener net.Listener          // nil: nobody listens there, as where a process has ended
	conns    map[net.Conn]struct{} // both sides of each
}

// NewMesh listens for every pair of the nodes with these addresses.
func NewMesh(targets map[int32]string) (*Mesh, error) {
	m := &Mesh{
		targets: targets, done: make(chan struct{}), links: map[pair]*link{}, ways: map[pair]way{},
		moved: make(chan struct{}), down: map[int32]bool{},
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for from := range targets {
		for to := range targets {
			if from == to {
				continue
			}
			listener, err := ListenLow()
			if err != nil {
				m.closeLocked()
				return nil, err
			}
			l := &link{pair: pair{from, to}, address: listener.Addr().String(), conns: map[net.Conn]struct{}{}}
			m.links[l.pair] = l
			m.serveLocked(l, listener)
		}
	}
	return m, nil
}

// The ports that ListenLow gives, lowPorts of them from lowestPort on.
const lowestPort, lowPorts = 10240, 32768 - 10240

// portsGiven counts those that ListenLow has tried.
var portsGiven atomic.Int32

// ListenLow takes a free port below those that systems give to outgoing
// connections, so that it can be taken again after a while without a listener. It
// gives each port once: one that is closed again is kept for whom it was taken.
// Processes begin at ports far from each other, for the same reason.
func ListenLow() (net.Listener, error) {
	const tries, apart = 1000, 13923 // lowPorts divided by the golden ratio
	var err error
	for range tries {
		at := (os.Getpid()%lowPorts*apart + int(portsGiven.Add(1))) % lowPorts
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowestPort+at)); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("find a free port between %d and %d: %w", lowestPort, lowestPort+lowPorts-1, err)
}

// Nodes lists those that have links.
func (m *Mesh) Nodes() []int32 { return slices.Sorted(maps.Keys(m.targets)) }

// Address is where one node reaches another.
func (m *Mesh) Address(from, to int32) string { return m.links[pair{from, to}].address }

// Cut holds all bytes from one node to another.
func (m *Mesh) Cut(from, to int32) error {
	return m.change(pair{from, to}, func(w *way) { w.Cut = true })
}

// Slow lets pieces of what one node sends to another take so long.
func (m *Mesh) Slow(from, to int32, delay time.Duration) error {
	return m.change(pair{from, to}, func(w *way) { w.Delay = delay })
}

// Heal delivers what was held, and holds nothing any more.
func (m *Mesh) Heal() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.ways)
	return m.changedLocked()
}

// Down says that a node's process has ended: nobody listens there any more.
func (m *Mesh) Down(node int32) error { return m.set(node, true) }

// Up says that a node's process is about to listen again.
func (m *Mesh) Up(node int32) error { return m.set(node, false) }

func (m *Mesh) set(node int32, down bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[node] = down
	return m.changedLocked()
}

func (m *Mesh) change(p pair, how func(*way)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.links[p] == nil {
		return fmt.Errorf("there is no link from node %d to node %d", p.from, p.to)
	}
	w := m.ways[p]
	how(&w)
	m.ways[p] = w
	return m.changedLocked()
}

// changedLocked wakes all that wait, and listens where a dial has to succeed: of
// a node that ended nothing is heard through a cut either.
func (m *Mesh) changedLocked() error {
	close(m.moved)
	m.moved = make(chan struct{})
	var errs []error
	for _, l := range m.links {
		want := !m.down[l.to] || m.ways[l.pair].Cut || m.ways[l.back()].Cut
		switch {
		case want && l.listener == nil:
			listener, err := net.Listen("tcp", l.address)
			if err != nil {
				errs = append(errs, fmt.Errorf("the link from node %d to node %d: %w", l.from, l.to, err))
				continue
			}
			m.serveLocked(l, listener)
		case !want && l.listener != nil:
			errs = append(errs, l.listener.Close())
			l.listener = nil
		}
	}
	return errors.Join(errs...)
}

// Ways lists what is not as it should be: "1->2 cut".
func (m *Mesh) Ways() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []string{}
	for p, w := range m.ways {
		if w.Cut {
			all = append(all, fmt.Sprintf("%d->%d cut", p.from, p.to))
		} else if w.Delay > 0 {
			all = append(all, fmt.Sprintf("%d->%d slow by %v", p.from, p.to, w.Delay))
		}
	}
	slices.Sort(all)
	return all
}

// Close ends all connections and waits for whoever serves them.
func (m *Mesh) Close() error {
	m.mu.Lock()
	err := m.closeLocked()
	m.mu.Unlock()
	m.tasks.Wait()
	return err
}

func (m *Mesh) closeLocked() error {
	close(m.done)
	var errs []error
	for _, l := range m.links {
		if l.listener != nil {
			errs = append(errs, l.listener.Close())
			l.listener = nil
		}
		for c := range l.conns {
			_ = c.Close() // its ends are gone
		}
	}
	return errors.Join(errs...)
}
