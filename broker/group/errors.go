package group

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication/shard"
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

// wire is appendError for an answer; what it does not know is logged, since
// nobody else hears of it.
func (c *Coordinator) wire(err error) *kerr.Error {
	var known *kerr.Error
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, shard.ErrBusy)
	if !errors.As(err, &known) && !ended {
		c.logger.Error("group request failed", "err", err)
	}
	return appendError(err)
}

// commitError is wire for OffsetCommit and TxnOffsetCommit: a request
// that is too large as one batch is told so.
func (c *Coordinator) commitError(err error) *kerr.Error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return kerr.InvalidCommitOffsetSize
	}
	return c.wire(err)
}
