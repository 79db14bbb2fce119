package transport

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Peer is another node, as this one reaches it.
type Peer struct {
	mesh    *Mesh
	node    int32
	address string
	ctx     context.Context
	cancel  context.CancelFunc
	links   [classes]*link
	beats   beats

	// contact is when the newest request was sent that was answered, in ns since
	// the mesh began. It is read at use, so a process that was stopped and
	// wakes finds it old (hard-24).
	contact atomic.Int64
	resumed atomic.Int64 // when an answer came after a silence of fenceAfter, likewise; 0: never
	alive   atomic.Bool  // as last told by Config.Changed

	mu     sync.Mutex
	views  map[int32]bool // of other nodes: whether the peer hears them
	viewed time.Time      // when it said so
}

func (m *Mesh) newPeer(node int32, address string) *Peer {
	ctx, cancel := context.WithCancel(m.ctx)
	p := &Peer{mesh: m, node: node, address: address, ctx: ctx, cancel: cancel}
	p.contact.Store(-1)
	p.beats.peer, p.beats.some, p.beats.urgent = p, make(chan struct{}, 1), make(chan struct{}, 1)
	for class := range classes {
		l := &link{peer: p, class: class, pending: map[uint64]*request{}, redial: make(chan struct{}, 1), up: make(chan struct{})}
		p.links[class] = l
		m.tasks.Go(l.run)
	}
	m.tasks.Go(p.beats.run)
	return p
}

// Node is the peer's id.
func (p *Peer) Node() int32 { return p.node }

// LastContact is how long ago the newest request was sent that the peer has
// answered. A peer that never answered was never in contact.
func (p *Peer) LastContact() (age time.Duration, ever bool) {
	at := p.contact.Load()
	return time.Since(p.mesh.began) - time.Duration(at), at >= 0
}

// Near says whether this node's newest request that the peer answered is so young
// that the peer cannot have found this node dead.
func (p *Peer) Near() bool {
	age, ever := p.LastContact()
	return ever && age < p.mesh.cfg.fenceAfter()
}

// Alive says whether the peer answered lately, but for the time in which this
// node itself did not run. One whose process has ended is
// not: its connection was reset and nobody listens any more.
func (p *Peer) Alive() bool {
	age, ever := p.LastContact()
	return ever && age-p.mesh.own(age) < p.mesh.cfg.DeadAfter && !p.links[control].isRefused()
}

// Resumed is when the peer answered after a silence in which others may have
// given this node up; zero is never. Requests that were held up meanwhile are
// answered one after the other, so Near alone shows no gap. Whoever asks for both
// asks for Near first.
func (p *Peer) Resumed() time.Time {
	if at := p.resumed.Load(); at > 0 {
		return p.mesh.began.Add(time.Duration(at))
	}
	return time.Time{}
}

// Up is closed while requests can be sent to the peer.
func (p *Peer) Up() <-chan struct{} {
	l := p.links[data]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// answered notes that a request sent at a time was answered.
func (p *Peer) answered(sent time.Time) {
	at, now := int64(sent.Sub(p.mesh.began)), int64(time.Since(p.mesh.began))
	for {
		have := p.contact.Load()
		if have >= 0 && have < at && time.Duration(now-have) >= p.mesh.cfg.fenceAfter() {
			p.resumed.Store(now) // before contact is fresh again
		}
		if have >= at || p.contact.CompareAndSwap(have, at) {
			return
		}
	}
}

// Hears says whether the peer itself is in contact with another node, by its
// word, and whether that word is fresh.
func (p *Peer) Hears(node int32) (alive, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alive, known = p.views[node]
	return alive, known && time.Since(p.viewed) < p.mesh.cfg.DeadAfter
}

// takeView remembers what the peer said of the others, and reports a change.
func (p *Peer) takeView(views map[int32]bool) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = !maps.Equal(p.views, views)
	p.views, p.viewed = views, time.Now()
	return changed
}

// wake has a peer that seems to be there again dialled at once.
func (p *Peer) wake() {
	for _, l := range p.links {
		select {
		case l.redial <- struct{}{}:
		default: // it is awake
		}
	}
}

// cut ends both connections: what waits on them is answered with err.
func (p *Peer) cut(err error) {
	for _, l := range p.links {
		if c := l.current(); c != nil {
			c.close(err)
		}
	}
}

// A request is one frame that waits for its answer.
type request struct {
	kind kind
	sent time.Time
	done func(answer any, body []byte, err error) // called once; body is lent for the call
}

// A link is one outgoing connection to a peer, made again whenever it ends.
type link struct {
	peer   *Peer
	class  class
	redial chan struct{} // one message: dial now

	mu      sync.Mutex
	conn    *conn         // nil while there is none
	up      chan struct{} // closed while there is one
	refused bool          // it ended, and dialling since then failed
	lastID  uint64
	pending map[uint64]*request
}

const (
	minRedial = 20 * time.Millisecond
	maxRedial = time.Second
)

// run keeps the link connected until the peer is no longer one.
func (l *link) run() {
	p, backoff, said := l.peer, minRedial, ""
	for p.ctx.Err() == nil {
		began := time.Now()
		err := l.session()
		if p.ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxRedial {
			backoff = minRedial // it stood for a while
		}
		if text := err.Error(); text != said {
			p.mesh.cfg.Logger.Info("connection to a node ended", "peer", p.node, "address", p.address, "class", l.class.String(), "error", text)
			said = text
		}
		select {
		case <-time.After(backoff/2 + rand.N(backoff)):
			backoff = min(2*backoff, maxRedial)
		case <-l.redial:
			backoff = minRedial
		case <-p.ctx.Done():
		}
	}
}

// session dials, greets and reads answers until the connection ends.
func (l *link) session() error {
	p := l.peer
	ctx, cancel := context.WithTimeout(p.ctx, helloTimeout)
	defer cancel()
	raw, err := p.mesh.cfg.Dial(ctx, p.address)
	if err != nil {
		if ctx.Err() == nil { // else nothing came back: how long the peer is silent tells whether it is there
			l.refuse()
		}
		return err
	}
	stop := context.AfterFunc(p.ctx, func() { _ = raw.Close() }) // ends a handshake or a read that hangs
	defer stop()
	r := newReader(raw)
	if err := p.mesh.greet(raw, r, p.node, l.class); err != nil {
		_ = raw.Close() // nothing was sent but the greeting
		return fmt.Errorf("greeting: %w", err)
	}
	c := newConn(raw, r, l.class)
	l.adopt(c)
	if l.class == control {
		p.pingOnce() // the next would come in its own time, and until then the peer counts as gone
	}
	if l.class == data {
		p.mesh.cfg.Connected(p.node)
	}
	err = l.readAnswers(c)
	c.close(fmt.Errorf("%w: %w", ErrUnreachable, err))
	l.abandon(c)
	return err
}

func (l *link) adopt(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.refused = c, false
	close(l.up)
}

// refuse notes that nobody listens where the peer was.
func (l *link) refuse() {
	l.mu.Lock()
	l.refused = true
	l.mu.Unlock()
	l.peer.judge()
}

func (l *link) isRefused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *link) current() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// abandon answers all that waited on a connection.
func (l *link) abandon(c *conn) {
	l.mu.Lock()
	waiting := l.pending
	l.conn, l.pending, l.up = nil, map[uint64]*request{}, make(chan struct{})
	l.mu.Unlock()
	for _, q := range waiting {
		q.done(nil, nil, c.err)
	}
}

// readAnswers settles requests until the connection ends.
func (l *link) readAnswers(c *conn) error {
	for {
		h, b, err := c.read()
		if err != nil {
			return err
		}
		if q := l.take(h.id); q != nil {
			l.peer.answered(q.sent)
			l.settle(q, h, *b.bytes)
		}
		b.release()
	}
}

func (l *link) settle(q *request, h header, body []byte) {
	switch {
	case h.kind == kindRefusal:
		q.done(nil, nil, fmt.Errorf("node %d: %s", l.peer.node, body))
	case h.kind == kindNotOpen:
		q.done(nil, nil, fmt.Errorf("node %d: %w", l.peer.node, ErrNotOpen))
	case h.kind != kindAnswer:
		q.done(nil, nil, fmt.Errorf("node %d answered with a frame of kind %d", l.peer.node, h.kind))
	case q.kind == kindCall || q.kind == kindPing || q.kind == kindHeartbeats:
		q.done(nil, body, nil)
	default:
		answer, err := decodeAnswer(q.kind, l.peer.node, body)
		q.done(answer, nil, err)
	}
}

func (l *link) take(id uint64) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.pending[id]
	delete(l.pending, id)
	return q
}

// send writes a request. done is called once, perhaps before send returns. The
// parts may be used again when it returns.
func (l *link) send(k kind, group Group, parts [][]byte, done func(any, []byte, error)) (cancel func()) {
	q := &request{kind: k, sent: time.Now(), done: done}
	l.mu.Lock()
	c := l.conn
	if c == nil {
		l.mu.Unlock()
		done(nil, nil, ErrUnreachable)
		return func() {}
	}
	l.lastID++
	id := l.lastID
	l.pending[id] = q
	l.mu.Unlock()
	if err := c.write(header{kind: k, id: id, group: group}, parts...); err != nil && l.take(id) != nil {
		done(nil, nil, err)
	}
	return func() { l.take(id) }
}
