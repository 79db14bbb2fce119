package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/txn"
)

// ListTransactions: v0-2
//
//   - Lists the transactional ids that this broker coordinates (KIP-664).
//   - While one of its coordinator partitions is loading: COORDINATOR_LOAD_IN_PROGRESS.
//
// Versions: v1 duration filter (KIP-994); v2 transactional id pattern (KIP-1152).
func (b *Broker) listTransactions(ctx context.Context, req *kmsg.ListTransactionsRequest, resp *kmsg.ListTransactionsResponse) error {
	filter := txn.ListRequest{ProducerIDs: req.ProducerIDFilters, States: req.StateFilters, Duration: -1}
	if req.Version >= 1 && req.DurationFilterMillis >= 0 {
		const most = int64(1<<63-1) / int64(time.Millisecond)
		filter.Duration = time.Duration(min(req.DurationFilterMillis, most)) * time.Millisecond
	}
	if req.Version >= 2 && req.TransactionalIDPattern != nil {
		filter.Pattern = *req.TransactionalIDPattern
	}
	reply, err := b.txns.List(ctx, filter)
	resp.UnknownStateFilters = reply.UnknownStates
	for _, one := range reply.Transactions {
		state := kmsg.NewListTransactionsResponseTransactionState()
		state.TransactionalID, state.ProducerID, state.TransactionState = one.TransactionalID, one.ProducerID, one.State.String()
		resp.TransactionStates = append(resp.TransactionStates, state)
	}
	return err
}
