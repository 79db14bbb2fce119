package replication

import (
	"sync"

	"github.com/hashicorp/raft"
)

// maxBehind is how many bytes a follower may lack that is not catching up.
const maxBehind = 512 << 10

// A throttle keeps followers that catch up from starving those that follow, and
// their leaders' memory bounded: appends to one node that lacks much go a few at a
// time, whatever the number of partitions; where it lacks little none waits.
//
// A request holds at most maxSendBytes, or one batch, so twice that is under way
// to a node that was away. A node brings at most maxStaging compacted logs here.
type throttle struct {
	staging chan struct{} // tokens

	mu    sync.Mutex
	lanes map[int32]chan struct{} // by node: tokens of the old appends under way
}

func newThrottle() *throttle {
	return &throttle{staging: make(chan struct{}, maxStaging), lanes: map[int32]chan struct{}{}}
}

func (t *throttle) lane(node int32) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lanes[node] == nil {
		t.lanes[node] = make(chan struct{}, pipelineDepth)
	}
	return t.lanes[node]
}

// admit waits until an append may be sent; done must follow its answer.
func (t *transport) admit(id raft.ServerID, entries []*raft.Log) (done func(), err error) {
	node, ok := nodeOf(id)
	if !ok || len(entries) == 0 || t.store.log.BytesFrom(entries[0].Index) <= maxBehind {
		return func() {}, nil
	}
	lane := t.throttle.lane(node)
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-t.stop:
		return nil, errOffline
	}
}
