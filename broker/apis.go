package broker

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/protocol"
)

// apis is THE TABLE: every API that is served, with the lowest and the highest
// version. ApiVersions, the dispatcher, docs/apis.md and the sweep test follow.
func (b *Broker) apis() []protocol.API {
	return []protocol.API{
		protocol.OnReply(0, 13, emptyProduce, b.produce), // v0-2 are offered and not served (KAFKA-18659)
		protocol.OnReply(4, 18, emptyFetch, b.fetch),
		protocol.On(1, 11, b.listOffsets),
		protocol.On(0, 13, b.handleMetadata),
		protocol.On(2, 10, b.offsetCommit),
		protocol.On(1, 10, b.offsetFetch),
		protocol.On(0, 5, b.findCoordinator),
		protocol.On(0, 9, b.joinGroup),
		protocol.On(0, 4, b.heartbeat),
		protocol.On(0, 5, b.leaveGroup),
		protocol.On(0, 5, b.syncGroup),
		protocol.On(0, 6, b.describeGroups),
		protocol.On(0, 5, b.listGroups),
		protocol.On(0, 1, b.saslHandshake),
		protocol.On(0, 5, b.apiVersions),
		protocol.On(2, 7, b.createTopics),
		protocol.On(1, 6, b.deleteTopics),
		protocol.On(0, 2, b.deleteRecords),
		protocol.On(0, 5, b.initProducerID),
		protocol.On(2, 4, b.offsetForLeaderEpoch),
		protocol.On(0, 3, b.addPartitionsToTxn),
		protocol.On(0, 4, b.addOffsetsToTxn),
		protocol.On(0, 5, b.endTxn),
		protocol.On(1, 2, b.writeTxnMarkers),
		protocol.On(0, 5, b.txnOffsetCommit),
		protocol.On(1, 3, b.describeACLs),
		protocol.On(1, 3, b.createACLs),
		protocol.On(1, 3, b.deleteACLs),
		protocol.On(1, 4, b.describeConfigs),
		protocol.On(0, 2, b.alterConfigs),
		protocol.On(1, 2, b.alterReplicaLogDirs),
		protocol.On(1, 5, b.describeLogDirs),
		protocol.On(0, 2, b.saslAuthenticate),
		protocol.On(0, 3, b.createPartitions),
		protocol.On(0, 3, b.deleteGroups),
		protocol.On(0, 2, b.electLeaders),
		protocol.On(0, 1, b.incrementalAlterConfigs),
		protocol.On(0, 1, b.alterPartitionReassignments),
		protocol.On(0, 0, b.listPartitionReassignments),
		protocol.On(0, 0, b.offsetDelete),
		protocol.On(0, 1, b.describeClientQuotas),
		protocol.On(0, 1, b.alterClientQuotas),
		protocol.On(0, 2, b.describeQuorum),
		protocol.On(0, 2, b.updateFeatures),
		protocol.On(0, 2, b.describeCluster),
		protocol.On(0, 0, b.describeProducers),
		protocol.On(0, 0, b.unregisterBroker),
		protocol.On(0, 0, b.describeTransactions),
		protocol.On(0, 2, b.listTransactions),
		protocol.On(0, 1, b.listConfigResources),
		protocol.On(0, 0, b.describeTopicPartitions),
	}
}

// newTable builds the table and caps it as Config.APIMax says.
func (b *Broker) newTable() (*protocol.Table, error) {
	table, err := protocol.NewTable(b.apis()...)
	if err != nil {
		return nil, err
	}
	for key, highest := range b.cfg.APIMax {
		if err := table.Cap(key, highest); err != nil {
			return nil, fmt.Errorf("api max: %w", err)
		}
	}
	table.MaxDecoded = decodeBudget
	table.Unexpected = func(_ context.Context, r *protocol.Request, err error) {
		b.logger.Error("request failed", "api_key", r.Key, "api_version", r.Version, "client_id", r.ClientName(), "error", err)
	}
	return table, nil
}
