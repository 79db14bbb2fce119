package proxy

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/conformance/wire"
)

const (
	// maxWatch is how many messages wait for a watcher that is slow.
	maxWatch = 256
	// maxShown is how many bytes of a message watchers are given.
	maxShown = 64 << 10
)

// A Message is one request or answer that has passed.
type Message struct {
	At     time.Time
	Conn   int64
	Peer   string // the client's address
	Answer bool
	Size   int    // bytes that it had
	Raw    []byte // without its length; the first 64 KiB
	Event  *fault.Event
	Hit    *fault.Hit // what was done to it; of a request only
}

// A Watcher is told of messages that match. One that is slow misses some.
type Watcher struct {
	c       chan Message
	match   fault.Match
	missed  atomic.Int64
	began   time.Time
	n       int // told so far
	decoder wire.Decoder
}

// maxWatchers bounds how many watch.
const maxWatchers = 16

// Watch tells of messages from now on, until Unwatch.
func (p *Proxy) Watch(match fault.Match) (*Watcher, error) {
	w := &Watcher{c: make(chan Message, maxWatch), match: match, began: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.watching()); n >= maxWatchers {
		return nil, fmt.Errorf("%d monitors watch already, want fewer", n)
	}
	all := append(slices.Clone(p.watching()), w)
	p.watchers.Store(&all)
	return w, nil
}

// Unwatch ends what Watch began.
func (p *Proxy) Unwatch(w *Watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(p.watching()), func(other *Watcher) bool { return other == w })
	p.watchers.Store(&all)
}

func (p *Proxy) watching() []*Watcher {
	if all := p.watchers.Load(); all != nil {
		return *all
	}
	return nil
}

func (p *Proxy) watched() bool { return len(p.watching()) > 0 }

// show tells whoever watches. m.Raw is copied.
func (p *Proxy) show(m Message) {
	copied := false
	for _, w := range p.watching() {
		if !w.match.Matches(m.Event) {
			continue
		}
		if !copied {
			m.Raw, copied = slices.Clone(m.Raw[:min(len(m.Raw), maxShown)]), true
		}
		select {
		case w.c <- m:
		default:
			w.missed.Add(1)
		}
	}
}

// show tells of an answer, given with its length.
func (s *session) show(e *exchange, frame []byte) {
	if e.event != nil {
		s.p.show(Message{At: time.Now(), Conn: s.id, Peer: s.client.RemoteAddr().String(), Answer: true, Size: len(frame) - 4, Raw: frame[4:], Event: e.event})
	}
}
