package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroups: v0-3
//
// Versions: v2 flexible; v3 error message.
func (b *Broker) deleteGroups(ctx context.Context, req *kmsg.DeleteGroupsRequest, resp *kmsg.DeleteGroupsResponse) error {
	return b.groups.DeleteGroups(ctx, req, resp)
}
