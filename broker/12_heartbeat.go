package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat: v0-4
//
//   - Keeps the member's session; REBALANCE_IN_PROGRESS asks it to join again.
//   - Succeeds while the coordinator loads.
//
// Versions: v3 static members (KIP-345); v4 flexible.
func (b *Broker) heartbeat(ctx context.Context, req *kmsg.HeartbeatRequest, resp *kmsg.HeartbeatResponse) error {
	return b.groups.Heartbeat(ctx, req, resp)
}
