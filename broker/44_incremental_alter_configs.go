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
	target, err := b.configured(r.ResourceType, r.ResourceName)
	if err != nil {
		return err
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

// configured checks that a resource has configs that may be altered here.
//
// Errors: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION.
func (b *Broker) configured(kind kmsg.ConfigResourceType, name string) (cluster.Resource, error) {
	r := cluster.Resource{Type: cluster.ResourceType(kind), Name: name}
	switch {
	case kind == kmsg.ConfigResourceTypeTopic && name == "":
		return r, refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
	case kind == kmsg.ConfigResourceTypeTopic:
		return r, cluster.CheckTopicName(name)
	case kind == kmsg.ConfigResourceTypeBroker && name != "":
		return r, b.thisNode(name, "Node", "")
	case kind == kmsg.ConfigResourceTypeBroker:
		return r, nil
	}
	return r, refuse(kerr.InvalidRequest, "Unknown resource type %v", kind)
}
