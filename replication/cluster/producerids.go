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
	out, err := m.change(ctx, change{ProducerIDs: &producerIDsWant{Broker: m.cfg.NodeID}})
	if err != nil {
		return -1, 0, err
	}
	return out.IDs.First, out.IDs.Count, nil
}

func decideProducerIDs(img *Image, broker int32) (*producerIDs, error) {
	if img.nextProducerID > math.MaxInt64-blockSize {
		return nil, fmt.Errorf("all producer ids are used: %w", kerr.UnknownServerError)
	}
	return &producerIDs{Broker: broker, First: img.nextProducerID, Count: blockSize}, nil
}
