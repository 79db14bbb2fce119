package group

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// appendError is what a member is told when a record could not be stored.
// Source: GroupMetadataManager.appendGroupMetadataErrorToResponseError,
// CoordinatorOperationExceptionHelper.
func appendError(err error) *kerr.Error {
	var known *kerr.Error
	if !errors.As(err, &known) {
		// A context that ended, or a group that was busy too long.
		return kerr.CoordinatorNotAvailable
	}
	switch known {
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.KafkaStorageError:
		return kerr.NotCoordinator
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize:
		return kerr.UnknownServerError
	default:
		return known
	}
}

// commitError is appendError for OffsetCommit and TxnOffsetCommit: a request
// that is too large as one batch is told so.
func commitError(err error) *kerr.Error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return kerr.InvalidCommitOffsetSize
	}
	return appendError(err)
}
