package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnOffsetCommit: v0-5
//
//   - The offsets are pending until the marker of the producer's transaction.
//   - Below v5 the group's partition must have been added by AddOffsetsToTxn; v5 adds it (KIP-890).
//   - From v3 the member and its generation fence a zombie (KIP-447).
//
// Versions: v2 leader epoch; v3 flexible; v4 TRANSACTION_ABORTABLE (KIP-890).
func (b *Broker) txnOffsetCommit(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, resp *kmsg.TxnOffsetCommitResponse) error {
	return b.groups.TxnOffsetCommit(ctx, req, resp)
}
