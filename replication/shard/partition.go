package shard

import (
	"context"

	"github.com/oncelog/oncelog/protocol/record"
)

// A Partition is the replica that a shard stands on: its log, and whether this
// node leads it. All methods may be called concurrently.
type Partition interface {
	// Leadership is this node's role at this moment.
	Leadership() Leadership
	// StartOffset is the log start offset.
	StartOffset() int64
	// HighWatermark is the offset after the last committed record.
	HighWatermark() int64
	// EndOffset is the log end offset: the offset of the next append.
	EndOffset() int64
	// Moved is closed at the next rise of the high watermark, change of
	// leadership, or close. Take it, look, then wait for it.
	Moved() <-chan struct{}
	// Append stores a batch with acks=all and returns its base offset once it is
	// committed. The partition owns the batch from then on and patches it.
	//
	// An error that wraps ErrRefused means that the batch is not and never will
	// be in the log. After any other error it is either below EndOffset already,
	// or never will be stored, unless ctx ended.
	Append(ctx context.Context, batch record.Batch, opts AppendOptions) (baseOffset int64, err error)
	// Read appends whole stored batches to dst: from the batch that holds offset
	// from, or the next one there is, up to upTo (exclusive), about maxBytes but
	// at least one batch. It appends nothing when there is no batch below upTo.
	Read(dst []byte, from, upTo int64, maxBytes int) ([]byte, error)
	// Guard starts a verification of a producer id on this partition (KAFKA-14884).
	Guard(producerID int64) Guard
}

// Leadership says what this node is for a partition.
type Leadership struct {
	// Leading: this node is the leader, as far as it knows, or nobody is known to
	// be, as at a start: requests are parked then, not sent elsewhere (hard-31).
	Leading bool
	// Ready: the barrier of the leader's own epoch is committed. Implies Leading.
	Ready bool
	// Fenced: a majority has been silent for so long that another node may lead,
	// and know more. Nothing is answered from the view then (hard-24).
	Fenced bool
	// Epoch is the leader epoch.
	Epoch int32
}

// AppendOptions are the conditions of an append.
type AppendOptions struct {
	// Epoch is the leader epoch under which the batch was decided. The append is
	// refused under any other.
	Epoch int32
	// Guard, if not nil, must still stand.
	Guard Guard
	// TV2 says that a transactional batch follows the rules of
	// transaction.version 2 (KIP-890).
	TV2 bool
}

// A Guard is the partition's opaque token of a pending verification. Any marker
// and any change of leadership destroys it.
type Guard any
