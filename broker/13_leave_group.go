package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveGroup: v0-5
//
// Versions: v3 several members, by instance id too (KIP-345); v4 flexible; v5 reasons (KIP-800).
func (b *Broker) leaveGroup(ctx context.Context, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) error {
	return b.groups.LeaveGroup(ctx, req, resp)
}
