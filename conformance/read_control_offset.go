package conformance

import "fmt"

var readControlOffset = Case{
	ID:          "read/control/1",
	Title:       "a transaction ends with a control batch that takes one offset",
	Requirement: "KIP-98; EndTransactionMarker, ControlRecordType",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv)
			for round, commit := range []bool{true, false} {
				began := p.begin(log).again()
				p.append(log, 2)
				p.endSettled(commit, log)
				end := int64(round+1) * 3
				t.equal("high watermark", t.highWatermark(log), end)
				markers := t.markers(log)
				if !t.equal("control batches", len(markers), round+1) {
					return
				}
				m := markers[round]
				t.equal("offset", fmt.Sprint(m.baseOffset, m.lastOffset), fmt.Sprint(end-1, end-1))
				t.equal("transactional", m.transactional, true)
				t.equal("sequence", m.baseSequence, -1)
				t.equal("commit", m.marker.commit, commit)
				epoch := began.epoch
				if tv == 2 {
					epoch++ // the marker carries the epoch of the next transaction (KIP-890)
				}
				t.equal("producer id and epoch", fmt.Sprint(m.producerID, m.producerEpoch), fmt.Sprint(began.id, epoch))
			}
		}
	},
}
