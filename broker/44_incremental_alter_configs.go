package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// IncrementalAlterConfigs: v0-1
//
//   - Sets, deletes, appends to or subtracts from single settings of topics and
//     brokers (KIP-339); each resource changes wholly or not at all.
//   - What changed is in force before the answer.
//
// Versions: v1 flexible. Source: ConfigAdminManager, ConfigurationControlManager.
func (b *Broker) incrementalAlterConfigs(ctx context.Context, req *kmsg.IncrementalAlterConfigsRequest, resp *kmsg.IncrementalAlterConfigsResponse) error {
	type resource struct {
		kind kmsg.ConfigResourceType
		name string
	}
	named := make(map[resource]int, len(req.Resources))
	for _, r := range req.Resources {
		named[resource{r.ResourceType, r.ResourceName}]++
	}
	for _, r := range req.Resources {
		answer := kmsg.NewIncrementalAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = r.ResourceType, r.ResourceName
		err := refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
		if named[resource{r.ResourceType, r.ResourceName}] == 1 {
			err = b.alterResource(ctx, r, req.ValidateOnly)
		}
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		resp.Resources = append(resp.Resources, answer)
	}
	return nil
}

// alterResource changes the settings of one topic or broker.
func (b *Broker) alterResource(ctx context.Context, r kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	target := cluster.Resource{Type: cluster.ResourceType(r.ResourceType), Name: r.ResourceName}
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if r.ResourceName == "" {
			return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
	case kmsg.ConfigResourceTypeBroker:
		if r.ResourceName != "" {
			if err := b.thisNode(r.ResourceName); err != nil {
				return err
			}
		}
	default:
		return refuse(kerr.InvalidRequest, "Unknown resource type %v", r.ResourceType)
	}
	ops := make([]cluster.ConfigOp, len(r.Configs))
	for i, c := range r.Configs {
		ops[i] = cluster.ConfigOp{Name: c.Name, Kind: cluster.ConfigOpKind(c.Op), Value: c.Value}
	}
	if err := b.metadata.AlterConfigs(ctx, target, ops, validateOnly); err != nil {
		return err
	}
	return b.topics.settle(ctx)
}
