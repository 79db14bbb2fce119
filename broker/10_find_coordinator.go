package broker

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kinds of coordinators. Source: FindCoordinatorRequest.CoordinatorType.
const (
	groupCoordinator = 0
	txnCoordinator   = 1
)

// findCoordinator: v0-5
//
//   - The first call makes the internal topic and answers when it serves, so no
//     client sees COORDINATOR_NOT_AVAILABLE on a fresh broker.
//
// Versions: v1 coordinator type; v3 flexible; v4 several keys (KIP-699); v5 TRANSACTION_ABORTABLE (KIP-890).
func (b *Broker) findCoordinator(ctx context.Context, req *kmsg.FindCoordinatorRequest, resp *kmsg.FindCoordinatorResponse) error {
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		answer := kmsg.NewFindCoordinatorResponseCoordinator()
		answer.Key, answer.NodeID, answer.Port = key, -1, -1
		err := b.coordinatorOf(ctx, req.CoordinatorType, key, &answer)
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		if req.Version >= 4 {
			resp.Coordinators = append(resp.Coordinators, answer)
			continue
		}
		resp.ErrorCode, resp.ErrorMessage = answer.ErrorCode, answer.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = answer.NodeID, answer.Host, answer.Port
	}
	return nil
}

// coordinatorOf finds the node that leads the key's partition.
func (b *Broker) coordinatorOf(ctx context.Context, kind int8, key string, answer *kmsg.FindCoordinatorResponseCoordinator) error {
	var name string
	var number func(string) int32
	switch kind {
	case groupCoordinator:
		name, number = offsetsTopic, b.groups.Partition
	case txnCoordinator:
		name, number = txnTopic, b.txns.Partition
	default:
		return refuse(kerr.InvalidRequest, "there is no coordinator of type %d", kind)
	}
	if err := b.ensureInternal(ctx, name); err != nil {
		return err
	}
	t, ok := b.topics.load().byName(name)
	if !ok {
		return fmt.Errorf("%s is gone: %w", name, kerr.CoordinatorNotAvailable)
	}
	i := number(key)
	if int(i) >= len(t.partitions) || t.partitions[i] == nil && t.isHere(int(i), b.nodeID()) {
		return fmt.Errorf("%s-%d is offline: %w", name, i, kerr.CoordinatorNotAvailable)
	}
	leader := b.leaderOf(ctx, t, i)
	node, ok := b.image().Broker(leader)
	if !ok {
		return fmt.Errorf("%s-%d has no leader: %w", name, i, kerr.CoordinatorNotAvailable)
	}
	answer.NodeID = leader
	answer.Host, answer.Port = b.addressFor(ctx, node)
	return nil
}
