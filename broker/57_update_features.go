package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// UpdateFeatures: v0-2
//
//   - All changes are made, or none; a change of transaction.version counts for
//     what coordinators decide from then on.
//
// Versions: v1 upgrade type and validate only; v2 no result of each (KIP-1022).
func (b *Broker) updateFeatures(ctx context.Context, req *kmsg.UpdateFeaturesRequest, resp *kmsg.UpdateFeaturesResponse) error {
	updates := make([]cluster.FeatureUpdate, len(req.FeatureUpdates))
	for i, u := range req.FeatureUpdates {
		updates[i] = cluster.FeatureUpdate{Name: u.Feature, Level: u.MaxVersionLevel, Type: u.UpgradeType}
		if req.Version == 0 {
			updates[i].Type = cluster.Upgrade
			if u.AllowDowngrade {
				updates[i].Type = cluster.SafeDowngrade
			}
		}
	}
	err := b.metadata.UpdateFeatures(ctx, updates, req.ValidateOnly)
	b.logUnexpected("features were not updated", err)
	resp.ErrorCode, resp.ErrorMessage = protocol.Code(err), protocol.Message(err)
	if err != nil || req.Version >= 2 {
		return nil
	}
	for _, u := range req.FeatureUpdates {
		one := kmsg.NewUpdateFeaturesResponseResult()
		one.Feature = u.Feature
		resp.Results = append(resp.Results, one)
	}
	return nil
}
