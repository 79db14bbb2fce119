package broker

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/oncelog/oncelog/protocol"
)

// heldRequests bounds the bytes of larger requests that are held at a time,
// while they arrive and while they are served (queued.max.request.bytes).
//
// When there is no room the request that has been arriving for longest loses its
// connection: whoever sends slowly on purpose is the first to go. Kafka stops
// reading instead, which such peers could make last.
type heldRequests struct {
	mu       sync.Mutex
	bytes    int64
	requests map[*conn]*heldRequest
}

// A heldRequest is the share of one connection. It is guarded by heldRequests.
type heldRequest struct {
	bytes    int64
	began    time.Time
	arriving bool
	refused  error // why the connection was closed
}

// take counts size bytes for the request that arrives on c, in place of what it
// had. Limits below 0 are none.
//
// Errors: ErrClose, when it is this request that has to go.
func (h *heldRequests) take(c *conn, size int, limit int64) error {
	victims, err := h.makeRoom(c, int64(size), limit)
	for _, victim := range victims {
		_ = victim.Close() // its own goroutine tells why
	}
	return err
}

func (h *heldRequests) makeRoom(c *conn, size, limit int64) (victims []net.Conn, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.requests[c]
	if own == nil {
		own = &heldRequest{began: time.Now(), arriving: true}
		h.requests[c] = own
	}
	for own.refused == nil && limit >= 0 && h.bytes-own.bytes+size > limit {
		victim := h.slowest()
		gone := h.requests[victim]
		gone.refused = fmt.Errorf("a request has %d bytes and is arriving for %v, all requests %d: queued.max.request.bytes of %d is reached: %w",
			gone.bytes, time.Since(gone.began), h.bytes, limit, protocol.ErrClose)
		h.bytes -= gone.bytes
		gone.bytes, gone.arriving = 0, false
		if victim != c {
			victims = append(victims, victim.net)
		}
	}
	if own.refused == nil {
		h.bytes += size - own.bytes
		own.bytes = size
	}
	return victims, own.refused
}

// slowest has been arriving for longest. There is one: the request that asks.
func (h *heldRequests) slowest() (slowest *conn) {
	for c, r := range h.requests {
		if r.arriving && (slowest == nil || r.began.Before(h.requests[slowest].began)) {
			slowest = c
		}
	}
	return slowest
}

// whole notes that the request has arrived, or why it lost its connection.
func (h *heldRequests) whole(c *conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.requests[c]
	if own == nil {
		return nil
	}
	own.arriving = false
	return own.refused
}

// release gives back what c has.
func (h *heldRequests) release(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if own := h.requests[c]; own != nil {
		h.bytes -= own.bytes
		delete(h.requests, c)
	}
}
