package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetCommit: v2-10
//
//   - Answered once the offsets are committed to __consumer_offsets.
//   - With generation -1 only while nobody is in the group.
//   - Refuses negative offsets with INVALID_REQUEST, which Kafka stores.
//
// Versions: v2-4 retention time; v6 leader epoch; v7 static members (KIP-345); v8 flexible; v9 GROUP_ID_NOT_FOUND (KIP-848); v10 topic ids (KIP-848).
func (b *Broker) offsetCommit(ctx context.Context, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) error {
	return b.groups.OffsetCommit(ctx, req, resp)
}
