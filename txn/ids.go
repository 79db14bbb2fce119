package txn

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ProducerIDs grants blocks of producer ids, each once for ever.
type ProducerIDs interface {
	// AllocateProducerIDs returns a block [first, first+n) that nobody had. It
	// returns after the grant is applied on this node (hard-39).
	AllocateProducerIDs(ctx context.Context) (first int64, n int32, err error)
}

// ids hands out producer ids from granted blocks. What is left of a block when
// the process ends is never used.
type ids struct {
	source ProducerIDs
	turn   chan struct{} // capacity 1; its holder owns the fields below
	first  int64
	left   int32
}

func newIDs(source ProducerIDs) *ids { return &ids{source: source, turn: make(chan struct{}, 1)} }

// next returns a producer id that was never returned before.
//
// Errors: CoordinatorLoadInProgress when no block can be had now, as Kafka
// answers while it waits for one.
func (i *ids) next(ctx context.Context) (int64, error) {
	select {
	case i.turn <- struct{}{}:
	case <-ctx.Done():
		return NoProducerID, fmt.Errorf("waiting for a block of producer ids: %v: %w", context.Cause(ctx), kerr.CoordinatorLoadInProgress)
	}
	defer func() { <-i.turn }()
	if i.left == 0 {
		first, n, err := i.source.AllocateProducerIDs(ctx)
		if err == nil && n <= 0 {
			err = fmt.Errorf("block of %d ids", n)
		}
		if err != nil {
			return NoProducerID, fmt.Errorf("no block of producer ids: %v: %w", err, kerr.CoordinatorLoadInProgress)
		}
		i.first, i.left = first, n
	}
	id := i.first
	i.first, i.left = i.first+1, i.left-1
	return id, nil
}
