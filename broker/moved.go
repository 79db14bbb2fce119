package broker

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// A client that asks the wrong node is told who leads the partition and where that
// node is, so that it need not ask for metadata before it goes there (KIP-951).

// endpointsProduce and endpointsFetch are the versions from which on it is told.
// Source: KafkaApis.handleProduceRequest, handleFetchRequest.
const (
	endpointsProduce = 10
	endpointsFetch   = 16
)

// A currentLeader is who leads a partition, -1 for nobody that is known.
type currentLeader struct{ id, epoch int32 }

// leaderHint says whether an error is one that names the partition's leader.
func leaderHint(err error) bool {
	if err == nil {
		return false
	}
	code := protocol.Code(err)
	return code == kerr.NotLeaderForPartition.Code || code == kerr.FencedLeaderEpoch.Code
}

// leaderHere is who leads a partition of which this node holds a replica.
func leaderHere(l replication.Leadership) currentLeader { return currentLeader{l.Leader, l.Epoch} }

// leadersAway asks others who leads the partitions of these topics of which this node
// holds no replica. Once for an answer, and only for one that has an error in it.
func (b *Broker) leadersAway(ctx context.Context, topics []*topic) func(t *topic, partition int32) currentLeader {
	known := b.elsewhere(ctx, topics...)
	return func(t *topic, partition int32) currentLeader {
		state, ok := known[t.partitionID(int(partition))]
		if !ok {
			return currentLeader{-1, -1}
		}
		return currentLeader{state.leader, state.epoch}
	}
}

// leader appends the tag section of a partition that names its leader, and has the
// answer name the leader's endpoint.
func (e *encoder) leader(tag byte, l currentLeader) {
	if l.id < 0 {
		e.tags()
		return
	}
	if !slices.Contains(e.named, l.id) {
		e.named = append(e.named, l.id)
	}
	e.pairTag(tag, func() { e.int32(l.id); e.int32(l.epoch) })
}

// endpoints appends an answer's last tag section: the brokers that it named as
// leaders (NodeEndpoints), as the client of the connection reaches them.
func (b *Broker) endpoints(e *encoder, conn *protocol.Conn) {
	var found []*cluster.Broker
	for _, id := range e.named {
		if node, ok := b.image().Broker(id); ok && !b.fenced(id) {
			found = append(found, node)
		}
	}
	if len(found) == 0 {
		e.tags()
		return
	}
	body := encoder{flexible: true}
	body.count(len(found))
	for _, node := range found {
		host, port := b.addressOn(conn, node)
		body.int32(node.ID)
		body.string(host)
		body.int32(port)
		if node.Rack == "" {
			body.nullable(nil)
		} else {
			body.nullable(&node.Rack)
		}
		body.tags()
	}
	e.b = append(e.b, 1, 0) // one tag, number 0
	e.uvarint(uint64(len(body.b)))
	e.b = append(e.b, body.b...)
}
