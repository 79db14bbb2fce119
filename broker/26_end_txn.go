package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/txn"
)

// EndTxn: v0-5
//
//   - Replies once the prepare record is committed; markers follow.
//   - The same id asked meanwhile gets CONCURRENT_TRANSACTIONS.
//   - From v5 on each end bumps the epoch, also the abort of an empty transaction;
//     a repeat is answered like the first.
//
// Versions: v2 PRODUCER_FENCED (KIP-588); v3 flexible; v4 TRANSACTION_ABORTABLE
// (KIP-890); v5 returns what the next transaction is stamped with (KIP-890).
func (b *Broker) endTxn(ctx context.Context, req *kmsg.EndTxnRequest, resp *kmsg.EndTxnResponse) error {
	next, err := b.txns.EndTxn(ctx, txn.EndTxnRequest{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
		Commit: req.Commit, Version: req.Version,
	})
	resp.ProducerID, resp.ProducerEpoch = next.ID, next.Epoch
	return err
}
