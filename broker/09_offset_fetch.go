package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetFetch: v1-10
//
//   - Null topics ask for all of a group; an unknown group has none, without an error.
//   - With RequireStable a partition in an open transaction answers UNSTABLE_OFFSET_COMMIT.
//
// Versions: v2 null topics, error of the whole; v5 leader epoch; v6 flexible; v7 RequireStable (KIP-447); v8 several groups (KIP-709); v9 member id and epoch (KIP-848); v10 topic ids (KIP-848).
func (b *Broker) offsetFetch(ctx context.Context, req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) error {
	return b.groups.OffsetFetch(ctx, req, resp)
}
