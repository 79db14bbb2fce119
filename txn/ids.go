package txn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ProducerIDs grants blocks of producer ids, each once for ever.
type ProducerIDs interface {
	// AllocateProducerIDs returns a block [first, first+n) that nobody had. It
	// returns after the grant is applied on this node (hard-39).
	AllocateProducerIDs(ctx context.Context) (first int64, n int32, err error)
}

const (
	// idWait is how long a request waits for a block before it is told to ask again,
	// here or at a broker that reaches the controller. Kafka answers so at once,
	// which costs the first client of each broker a retry.
	idWait = 500 * time.Millisecond
	// idsAhead says that the next block is asked for when a tenth of this one is
	// left. Source: RPCProducerIdManager.PID_PREFETCH_THRESHOLD.
	idsAhead = 10
)

// ids hands out producer ids from granted blocks. What is left of them when the
// process ends is never used.
//
// Blocks are asked for off the requests' path, one at a time and the next before
// the present one is used up, so a controller that is away for a while is not
// noticed, and no request that gave up waiting takes a block with it.
type ids struct {
	source ProducerIDs
	ctx    context.Context // of the asking; close ends it
	cancel context.CancelFunc
	jobs   sync.WaitGroup

	mu     sync.Mutex
	now    idBlock
	ahead  idBlock
	asking *idsAsked // nil: nothing is asked for
	closed bool
}

// An idBlock is what is left of a block.
type idBlock struct {
	next int64
	left int32
	size int32
}

// idsAsked is a question for a block. err is set when done is closed.
type idsAsked struct {
	done chan struct{}
	err  error
}

var errIDsClosed = errors.New("the coordinator is closed")

func newIDs(source ProducerIDs) *ids {
	i := &ids{source: source}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	return i
}

// close ends the asking and waits for it. No id is given after it.
func (i *ids) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.cancel()
	i.jobs.Wait()
}

// next returns a producer id that was never returned before.
//
// Errors: CoordinatorLoadInProgress when no block can be had now, as Kafka
// answers while it waits for one.
func (i *ids) next(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, idWait)
	defer cancel()
	for {
		id, asked := i.take()
		if asked == nil {
			return id, nil
		}
		select {
		case <-asked.done:
			if asked.err != nil {
				return NoProducerID, fmt.Errorf("no block of producer ids: %v: %w", asked.err, kerr.CoordinatorLoadInProgress)
			}
		case <-ctx.Done():
			return NoProducerID, fmt.Errorf("waiting for a block of producer ids: %v: %w", context.Cause(ctx), kerr.CoordinatorLoadInProgress)
		}
	}
}

// take returns an id or, if there is none, the question whose answer brings some.
func (i *ids) take() (int64, *idsAsked) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.now.left == 0 {
		i.now, i.ahead = i.ahead, idBlock{}
	}
	if i.closed || i.now.left == 0 {
		return NoProducerID, i.ask()
	}
	id := i.now.next
	i.now.next, i.now.left = id+1, i.now.left-1
	if i.now.left <= i.now.size/idsAhead && i.ahead.left == 0 {
		i.ask()
	}
	return id, nil
}

// ask asks for a block, unless that is under way. The caller holds mu.
func (i *ids) ask() *idsAsked {
	if i.asking != nil {
		return i.asking
	}
	asked := &idsAsked{done: make(chan struct{})}
	if i.closed {
		asked.err = errIDsClosed
		close(asked.done)
		return asked
	}
	i.asking = asked
	i.jobs.Go(func() { i.fetch(asked) })
	return asked
}

// fetch has a block granted and keeps it.
func (i *ids) fetch(asked *idsAsked) {
	first, n, err := i.source.AllocateProducerIDs(i.ctx)
	if err == nil && n <= 0 {
		err = fmt.Errorf("block of %d ids", n)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if asked.err = err; err == nil {
		i.ahead = idBlock{next: first, left: n, size: n}
	}
	i.asking = nil
	close(asked.done)
}
