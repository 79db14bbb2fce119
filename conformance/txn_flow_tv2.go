package conformance

import "fmt"

var txnFlowTV2 = Case{
	ID:          "txn/flow/2",
	Title:       "second protocol: produce and offset commit add themselves, every end bumps the epoch",
	Requirement: "KIP-890; Produce 12, TxnOffsetCommit 5, EndTxn 5",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		log, group, p := t.oneLog(), t.newGroup(), t.transactional(2)
		for round := range int64(3) {
			id, epoch := p.id, p.epoch
			p.append(log, 1)
			p.append(log, 1)
			p.addOffset(group, log, 10+round, nil)
			p.endSettled(true, log)
			t.equal("producer id and epoch", fmt.Sprint(p.id, p.epoch), fmt.Sprint(id, epoch+1))
			t.equal("records shown", len(t.committed(log)), (round+1)*2)
			t.until("the committed offset", func() (string, bool) {
				c := t.fetchOffset(group, log, true)
				return fmt.Sprintf("offset %d, %s", c.offset, codeName(c.code)), c.offset == 10+round
			})
		}
	},
}
