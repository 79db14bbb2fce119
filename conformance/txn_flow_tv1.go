package conformance

import "fmt"

var txnFlowTV1 = Case{
	ID:          "txn/flow/1",
	Title:       "first protocol: records and group offsets commit together, the epoch stays",
	Requirement: "KIP-98; AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn 4",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, group, p := t.oneLog(), t.newGroup(), t.transactional(1)
		for round := range int64(3) {
			epoch := p.epoch
			p.begin(log)
			p.append(log, 2)
			p.addOffset(group, log, 10+round, nil)
			p.endSettled(true, log)
			t.equal("epoch", p.epoch, epoch)
			t.equal("next sequence goes on", p.next[log], (round+1)*2)
			t.equal("records shown", len(t.committed(log)), (round+1)*2)
			t.until("the committed offset", func() (string, bool) {
				c := t.fetchOffset(group, log, true)
				return fmt.Sprintf("offset %d, %s", c.offset, codeName(c.code)), c.offset == 10+round
			})
		}
	},
}
