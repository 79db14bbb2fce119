package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var protocolSweepVersions = Case{
	ID:          "protocol/sweep/1",
	Title:       "every offered version of every client request is answered in its own shape",
	Requirement: "the schemas of Apache Kafka's message definitions",
	Level:       Must,
	Run: func(t *T) {
		for _, kind := range []int8{groupCoordinator, transactionCoordinator} { // a fresh broker makes their topics first
			t.coordinate(kind, t.name("key"), func(int32) int16 { return codeNone })
		}
		for _, key := range clientKeys() {
			own, ok := t.cluster.apis[key]
			if !ok {
				continue
			}
			switch key {
			case keyProduce:
				own.min = max(own.min, 3) // below it nothing is served, though Kafka tells 0 (KAFKA-18659)
			case keyAddPartitionsToTxn:
				own.max = min(own.max, 3) // brokers speak it from 4; Kafka never answers an empty one
			}
			c := t.dialNode(t.any())
			for version := own.min; version <= min(own.max, kmsg.RequestForKey(key).MaxVersion()); version++ {
				req := emptyRequest(key)
				req.SetVersion(version)
				if offsets, ok := req.(*kmsg.OffsetFetchRequest); ok && version >= 8 {
					// Kafka 3.9 never answers one of no groups, which no client sends: its RequestMetrics.markErrorMeter fails.
					offsets.Groups = []kmsg.OffsetFetchRequestGroup{{Group: t.name("group"), MemberEpoch: -1}}
				}
				if _, err := c.request(req); err != nil {
					t.record(requestName(req), false, "an answer that decodes", err.Error())
					c = t.dialNode(t.any())
				}
			}
			t.observe(kmsg.NameForKey(key), fmt.Sprintf("%d-%d", own.min, own.max))
		}
	},
}

// clientKeys are the requests of clients that do no harm when they are empty.
func clientKeys() []int16 {
	return []int16{
		keyProduce, keyFetch, keyListOffsets, keyMetadata, keyOffsetCommit, keyOffsetFetch, keyFindCoordinator,
		keyJoinGroup, keyHeartbeat, keyLeaveGroup, keySyncGroup, keyDescribeGroups, keyListGroups, keyApiVersions,
		keyCreateTopics, keyDeleteTopics, keyDeleteRecords, keyInitProducerID, keyOffsetForLeaderEpoch,
		keyAddPartitionsToTxn, keyAddOffsetsToTxn, keyEndTxn, keyTxnOffsetCommit, keyDescribeConfigs,
		keyCreatePartitions, keyDeleteGroups, keyOffsetDelete, keyDescribeProducers, keyDescribeTransactions,
		keyListTransactions, int16(kmsg.IncrementalAlterConfigs), int16(kmsg.DescribeCluster),
		int16(kmsg.DescribeLogDirs), int16(kmsg.ListConfigResources), int16(kmsg.DescribeTopicPartitions),
	}
}

// emptyRequest asks for nothing: no topics, groups or ids.
func emptyRequest(key int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	switch r := req.(type) {
	case *kmsg.MetadataRequest:
		r.Topics = []kmsg.MetadataRequestTopic{}
	case *kmsg.ApiVersionsRequest:
		r.ClientSoftwareName, r.ClientSoftwareVersion, r.NodeID = "oncelog-conformance", Version, -1
	case *kmsg.FetchRequest:
		r.SessionEpoch, r.ReplicaID = -1, -1
	case *kmsg.InitProducerIDRequest:
		r.ProducerID, r.ProducerEpoch = -1, -1
	case *kmsg.ProduceRequest:
		r.Acks = -1
	case *kmsg.DescribeClusterRequest:
		r.EndpointType = 1
	}
	return req
}
