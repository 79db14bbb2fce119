package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// AlterConfigs: v0-2
//
//   - A topic or a broker has the settings given and no others afterwards: what
//     is not named falls back to its default. IncrementalAlterConfigs took its
//     place; older clients and tools know only this one.
//   - What changed is in force before the answer.
//
// Versions: v2 flexible. Source: ConfigAdminManager, ConfigurationControlManager.legacyAlterConfigs.
func (b *Broker) alterConfigs(ctx context.Context, req *kmsg.AlterConfigsRequest, resp *kmsg.AlterConfigsResponse) error {
	type resource struct {
		kind kmsg.ConfigResourceType
		name string
	}
	named := make(map[resource]int, len(req.Resources))
	for _, r := range req.Resources {
		named[resource{r.ResourceType, r.ResourceName}]++
	}
	for _, r := range req.Resources {
		answer := kmsg.NewAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = r.ResourceType, r.ResourceName
		err := refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
		if named[resource{r.ResourceType, r.ResourceName}] == 1 {
			err = b.replaceConfigs(ctx, r, req.ValidateOnly)
		}
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		resp.Resources = append(resp.Resources, answer)
	}
	return nil
}

// replaceConfigs gives one topic or broker these settings and no others.
func (b *Broker) replaceConfigs(ctx context.Context, r kmsg.AlterConfigsRequestResource, validateOnly bool) error {
	target, err := b.configured(r.ResourceType, r.ResourceName)
	if err != nil {
		return err
	}
	values := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		if c.Value == nil {
			return refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
		}
		if _, twice := values[c.Name]; twice {
			return refuse(kerr.InvalidRequest, "configuration %s is named twice", c.Name)
		}
		if c.Name == "" && target.Type == cluster.BrokerResource {
			return refuse(kerr.InvalidRequest, "configuration without a name")
		}
		values[c.Name] = *c.Value
	}
	if err := b.metadata.ReplaceConfigs(ctx, target, values, validateOnly); err != nil {
		return err
	}
	return b.topics.settle(ctx)
}
