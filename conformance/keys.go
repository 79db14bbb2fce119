package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

// The request keys the cases use, by Kafka's names.
const (
	keyProduce              = int16(kmsg.Produce)
	keyFetch                = int16(kmsg.Fetch)
	keyListOffsets          = int16(kmsg.ListOffsets)
	keyMetadata             = int16(kmsg.Metadata)
	keyOffsetCommit         = int16(kmsg.OffsetCommit)
	keyOffsetFetch          = int16(kmsg.OffsetFetch)
	keyFindCoordinator      = int16(kmsg.FindCoordinator)
	keyJoinGroup            = int16(kmsg.JoinGroup)
	keyHeartbeat            = int16(kmsg.Heartbeat)
	keyLeaveGroup           = int16(kmsg.LeaveGroup)
	keySyncGroup            = int16(kmsg.SyncGroup)
	keyDescribeGroups       = int16(kmsg.DescribeGroups)
	keyListGroups           = int16(kmsg.ListGroups)
	keyApiVersions          = int16(kmsg.ApiVersions)
	keyCreateTopics         = int16(kmsg.CreateTopics)
	keyDeleteTopics         = int16(kmsg.DeleteTopics)
	keyDeleteRecords        = int16(kmsg.DeleteRecords)
	keyInitProducerID       = int16(kmsg.InitProducerID)
	keyOffsetForLeaderEpoch = int16(kmsg.OffsetForLeaderEpoch)
	keyAddPartitionsToTxn   = int16(kmsg.AddPartitionsToTxn)
	keyAddOffsetsToTxn      = int16(kmsg.AddOffsetsToTxn)
	keyEndTxn               = int16(kmsg.EndTxn)
	keyTxnOffsetCommit      = int16(kmsg.TxnOffsetCommit)
	keyDescribeConfigs      = int16(kmsg.DescribeConfigs)
	keyCreatePartitions     = int16(kmsg.CreatePartitions)
	keyElectLeaders         = int16(kmsg.ElectLeaders)
	keyAlterReassignments   = int16(kmsg.AlterPartitionAssignments)
	keyListReassignments    = int16(kmsg.ListPartitionReassignments)
	keyDeleteGroups         = int16(kmsg.DeleteGroups)
	keyOffsetDelete         = int16(kmsg.OffsetDelete)
	keyDescribeProducers    = int16(kmsg.DescribeProducers)
	keyDescribeTransactions = int16(kmsg.DescribeTransactions)
	keyListTransactions     = int16(kmsg.ListTransactions)
)

// The error codes the cases name, as in Kafka's Errors class.
const (
	codeNone                    int16 = 0
	codeOffsetOutOfRange        int16 = 1
	codeCorruptMessage          int16 = 2
	codeUnknownTopicOrPartition int16 = 3
	codeLeaderNotAvailable      int16 = 5
	codeNotLeaderOrFollower     int16 = 6
	codeMessageTooLarge         int16 = 10
	codeOffsetMetadataTooLarge  int16 = 12
	codeCoordinatorLoading      int16 = 14
	codeCoordinatorNotAvailable int16 = 15
	codeNotCoordinator          int16 = 16
	codeInvalidTopic            int16 = 17
	codeNotEnoughReplicas       int16 = 19
	codeInvalidRequiredAcks     int16 = 21
	codeIllegalGeneration       int16 = 22
	codeInconsistentProtocol    int16 = 23
	codeInvalidGroupID          int16 = 24
	codeUnknownMemberID         int16 = 25
	codeInvalidSessionTimeout   int16 = 26
	codeRebalanceInProgress     int16 = 27
	codeInvalidTimestamp        int16 = 32
	codeIllegalSaslState        int16 = 34
	codeUnsupportedVersion      int16 = 35
	codeTopicExists             int16 = 36
	codeInvalidPartitions       int16 = 37
	codeInvalidReplication      int16 = 38
	codeInvalidAssignment       int16 = 39
	codeInvalidConfig           int16 = 40
	codeInvalidRequest          int16 = 42
	codeOutOfOrderSequence      int16 = 45
	codeInvalidProducerEpoch    int16 = 47
	codeInvalidTxnState         int16 = 48
	codeInvalidPIDMapping       int16 = 49
	codeInvalidTxnTimeout       int16 = 50
	codeConcurrentTransactions  int16 = 51
	codeTxnIDAuthorization      int16 = 53
	codeOperationNotAttempted   int16 = 55
	codeNonEmptyGroup           int16 = 68
	codeGroupIDNotFound         int16 = 69
	codeFetchSessionIDNotFound  int16 = 70
	codeInvalidFetchEpoch       int16 = 71
	codeFencedLeaderEpoch       int16 = 74
	codeUnknownLeaderEpoch      int16 = 75
	codeUnsupportedCompression  int16 = 76
	codeMemberIDRequired        int16 = 79
	codePreferredNotAvailable   int16 = 80
	codeFencedInstanceID        int16 = 82
	codeElectionNotNeeded       int16 = 84
	codeNoReassignment          int16 = 85
	codeGroupSubscribed         int16 = 86
	codeInvalidRecord           int16 = 87
	codeUnstableOffsetCommit    int16 = 88
	codeProducerFenced          int16 = 90
	codeUnknownTopicID          int16 = 100
	codeTransactionalIDNotFound int16 = 105
	codeTransactionAbortable    int16 = 120
)

// isCoordinatorMoving tells the answers that only ask a client to come back:
// the coordinator is loading, unknown or moved.
func isCoordinatorMoving(code int16) bool {
	switch code {
	case codeCoordinatorLoading, codeCoordinatorNotAvailable, codeNotCoordinator:
		return true
	default:
		return false
	}
}
