package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncGroup: v0-5
//
//   - The leader's assignment is committed to __consumer_offsets before anybody gets it.
//
// Versions: v3 static members (KIP-345); v4 flexible; v5 protocol type and name (KIP-559).
func (b *Broker) syncGroup(ctx context.Context, req *kmsg.SyncGroupRequest, resp *kmsg.SyncGroupResponse) error {
	return b.groups.SyncGroup(ctx, req, resp)
}
