package broker

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Types of endpoints that a client can ask for (KIP-919).
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

// operationsUnasked stands for authorized operations that were not asked for.
const operationsUnasked = math.MinInt32

// DescribeCluster: v0-2
//
//   - Answers the brokers at the addresses that this client can use.
//   - A broker that is silent is fenced, and left out unless it is asked for.
//   - There is no controller listener: asking a broker for one is refused, as
//     Kafka's brokers do.
//
// Versions: v1 endpoint type (KIP-919); v2 fenced brokers (KIP-1073).
func (b *Broker) describeCluster(ctx context.Context, req *kmsg.DescribeClusterRequest, resp *kmsg.DescribeClusterResponse) error {
	resp.EndpointType = req.EndpointType
	resp.ClusterAuthorizedOperations = operationsUnasked
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	if req.Version >= 1 && req.EndpointType != brokerEndpoints {
		code := kerr.UnsupportedEndpointType
		if req.EndpointType == controllerEndpoints {
			code = kerr.MismatchedEndpointType
		}
		return refuse(code, "The request was sent to an endpoint of the wrong type: %d, want %d for brokers", req.EndpointType, brokerEndpoints)
	}
	image := b.image()
	resp.ClusterID = image.ClusterID
	resp.ControllerID = b.controllerID()
	for _, known := range image.Brokers() {
		fenced := b.fenced(known.ID)
		if fenced && !req.IncludeFencedBrokers {
			continue
		}
		host, port := b.addressFor(ctx, known)
		one := kmsg.NewDescribeClusterResponseBroker()
		one.NodeID, one.Host, one.Port, one.IsFenced = known.ID, host, port, fenced
		if known.Rack != "" {
			one.Rack = kmsg.StringPtr(known.Rack)
		}
		resp.Brokers = append(resp.Brokers, one)
	}
	return nil
}
