package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var txnDescribeStates = Case{
	ID:          "txn/describe/1",
	Title:       "DescribeTransactions and ListTransactions follow a transaction",
	Requirement: "KIP-664; TransactionCoordinator.handleDescribeTransactions",
	Level:       Must,
	Needs:       []Need{api(keyDescribeTransactions, 0), api(keyListTransactions, 0)},
	Run: func(t *T) {
		t.code("an id nobody knows", t.describeTransaction(t.name("ghost")).ErrorCode, codeTransactionalIDNotFound)
		for _, tv := range t.protocols() {
			tp, p := t.newTopic(2), t.transactional(tv)
			t.equal("state before", t.describeTransaction(p.txid).State, "Empty")
			p.begin(tp.at(0), tp.at(1))
			p.append(tp.at(0), 1)
			p.append(tp.at(1), 1)
			open := t.describeTransaction(p.txid)
			t.equal("state while open", open.State, "Ongoing")
			t.equal("producer id and epoch", fmt.Sprint(open.ProducerID, open.ProducerEpoch), fmt.Sprint(p.id, p.epoch))
			t.equal("timeout", open.TimeoutMillis, transactionTimeout)
			t.record("start", open.StartTimestamp > 0, "a time", fmt.Sprint(open.StartTimestamp))
			if t.equal("topics", len(open.Topics), 1) {
				t.equal("partitions", fmt.Sprint(open.Topics[0].Topic == tp.name, len(open.Topics[0].Partitions)), "true 2")
			}
			t.equal("state in the list", t.listedTransaction(p.id), p.txid+" Ongoing")
			p.end(false)
			t.until("state after", func() (string, bool) {
				state := t.describeTransaction(p.txid).State
				return state, state == "CompleteAbort"
			})
		}
	},
}

// describeTransaction asks the coordinator of a transactional id.
func (t *T) describeTransaction(txid string) (state kmsg.DescribeTransactionsResponseTransactionState) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{txid}
	t.coordinate(transactionCoordinator, txid, func(node int32) int16 {
		resp := ask[*kmsg.DescribeTransactionsResponse](t, node, req)
		if len(resp.TransactionStates) != 1 {
			t.fatalf("DescribeTransactions", "1 transaction", "%d transactions", len(resp.TransactionStates))
		}
		state = resp.TransactionStates[0]
		return state.ErrorCode
	})
	return state
}

// listedTransaction is the transactional id and state under a producer id.
func (t *T) listedTransaction(id int64) string {
	var seen string
	for _, node := range t.cluster.nodes() {
		req := kmsg.NewPtrListTransactionsRequest()
		req.ProducerIDFilters, req.DurationFilterMillis = []int64{id}, -1
		resp := ask[*kmsg.ListTransactionsResponse](t, node, req)
		t.mustCode("ListTransactions", resp.ErrorCode, codeNone)
		for _, s := range resp.TransactionStates {
			seen += s.TransactionalID + " " + s.TransactionState
		}
	}
	return seen
}
