package replication

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// kick makes this replica stand for election at once, without a pre-vote.
func (t *transport) kick() {
	select {
	case t.consumer <- raft.RPC{Command: timeoutNow(), RespChan: make(chan raft.RPCResponse, 1)}:
	case <-t.stop:
	}
}

func timeoutNow() *raft.TimeoutNowRequest {
	return &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
}

// push puts a request of this node's own in raft's line, if there is room.
func (t *transport) push(command any) bool {
	select {
	case t.consumer <- raft.RPC{Command: command, RespChan: make(chan raft.RPCResponse, 1)}:
		return true
	default:
		return false
	}
}

// A campaign is what became of the votes that this replica asked for.
type campaign struct {
	mu     sync.Mutex
	asking int
	ended  time.Time // when the last answer came; zero while there is more to come
}

// begin forgets the last one.
func (c *campaign) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = time.Time{}
}

func (c *campaign) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking++
	c.ended = time.Time{}
}

func (c *campaign) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking--; c.asking == 0 {
		c.ended = time.Now()
	}
}

// tallyTime is how long raft may take to count the votes that are there.
const tallyTime = 50 * time.Millisecond

// over says whether every voter has answered. Who then does not lead has lost.
func (c *campaign) over(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended.IsZero() && now.Sub(c.ended) >= tallyTime
}
