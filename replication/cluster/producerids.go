package cluster

import (
	"context"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// blockSize is how many producer ids a broker is granted at a time. Source:
// org.apache.kafka.server.common.ProducerIdsBlock (KIP-730).
const blockSize = 1000

// AllocateProducerIDs grants this node a block of n ids from first on. The block
// is applied when it returns; one that is lost on the way is never granted again
// (hard-39).
//
// Errors: UNKNOWN_SERVER_ERROR when all ids are used, NOT_CONTROLLER.
func (m *Metadata) AllocateProducerIDs(ctx context.Context) (first int64, n int32, err error) {
	err = m.update(ctx, func(img *Image) ([]command, error) {
		first = img.nextProducerID
		if first > math.MaxInt64-blockSize {
			return nil, fmt.Errorf("all producer ids are used: %w", kerr.UnknownServerError)
		}
		return []command{{ProducerIDs: &producerIDs{Broker: m.cfg.NodeID, First: first, Count: blockSize}}}, nil
	})
	return first, blockSize, err
}

// ProducerIDs hands out the ids of granted blocks one by one. The rest of a block
// is lost with the process.
type ProducerIDs struct {
	allocate func(context.Context) (first int64, n int32, err error)
	turn     chan *block // capacity 1; holds the block while nobody uses it
}

type block struct{ next, end int64 }

// NewProducerIDs hands out the ids that allocate grants.
func NewProducerIDs(allocate func(context.Context) (first int64, n int32, err error)) *ProducerIDs {
	p := &ProducerIDs{allocate: allocate, turn: make(chan *block, 1)}
	p.turn <- &block{}
	return p
}

// Next is a producer id that nobody had before. It waits for a grant when the
// block is used up.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	var b *block
	select {
	case b = <-p.turn:
	case <-ctx.Done():
		return -1, context.Cause(ctx)
	}
	defer func() { p.turn <- b }()
	if b.next == b.end {
		first, n, err := p.allocate(ctx)
		if err != nil {
			return -1, fmt.Errorf("grant of producer ids: %w", err)
		}
		b.next, b.end = first, first+int64(n)
	}
	id := b.next
	b.next++
	return id, nil
}
