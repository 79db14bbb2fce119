package broker

import (
	"context"

	"github.com/oncelog/oncelog/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// UnregisterBroker: v0
//
//   - The broker is forgotten by Metadata and DescribeCluster, and follows the
//     cluster's metadata no more. One that is started again joins anew.
//   - A broker that holds replicas is refused with INVALID_REQUEST: Kafka forgets
//     it and leaves the partitions short of a replica.
func (b *Broker) unregisterBroker(ctx context.Context, req *kmsg.UnregisterBrokerRequest, resp *kmsg.UnregisterBrokerResponse) error {
	err := b.Unregister(ctx, req.BrokerID)
	resp.ErrorCode, resp.ErrorMessage = protocol.Code(err), protocol.Message(err)
	b.logUnexpected("unregister broker failed", err, "broker", req.BrokerID)
	return nil
}

// Unregister takes a broker off the cluster. It must hold no replicas.
//
// Errors: BROKER_ID_NOT_REGISTERED, INVALID_REQUEST, NOT_CONTROLLER.
func (b *Broker) Unregister(ctx context.Context, node int32) error {
	return b.metadata.UnregisterBroker(ctx, node)
}
