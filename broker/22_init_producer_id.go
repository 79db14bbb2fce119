package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/txn"
)

// InitProducerId: v0-5
//
//   - Without a transactional id: a new producer id, from any broker.
//   - With one: its coordinator gives the next epoch and fences the producers
//     before; an open transaction is aborted, meanwhile CONCURRENT_TRANSACTIONS.
//
// Versions: v2 flexible; v3 the producer's own id and epoch (KIP-360); v4
// PRODUCER_FENCED (KIP-588); v5 TRANSACTION_ABORTABLE (KIP-890).
func (b *Broker) initProducerID(ctx context.Context, req *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) error {
	var got txn.ProducerIDAndEpoch
	var err error
	if req.TransactionalID == nil {
		got, err = b.txns.NewProducerID(ctx)
	} else {
		got, err = b.txns.InitProducerID(ctx, txn.InitProducerIDRequest{
			TransactionalID: *req.TransactionalID, Timeout: time.Duration(req.TransactionTimeoutMillis) * time.Millisecond,
			ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch, Version: req.Version,
		})
	}
	resp.ProducerID, resp.ProducerEpoch = got.ID, got.Epoch
	return err
}
