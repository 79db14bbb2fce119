package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetDelete: v0
//
//   - Only of topics that no member subscribes to: GROUP_SUBSCRIBED_TO_TOPIC (KIP-496).
func (b *Broker) offsetDelete(ctx context.Context, req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) error {
	return b.groups.OffsetDelete(ctx, req, resp)
}
