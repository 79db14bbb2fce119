package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listGroups: v0-5
//
//   - The groups that this node coordinates, not those of the cluster.
//
// Versions: v3 flexible; v4 states (KIP-518); v5 types (KIP-848).
func (b *Broker) listGroups(ctx context.Context, req *kmsg.ListGroupsRequest, resp *kmsg.ListGroupsResponse) error {
	return b.groups.ListGroups(ctx, req, resp)
}
