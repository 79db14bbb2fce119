package conformance

import "fmt"

var fetchBatchHeader = Case{
	ID:          "fetch/batch/2",
	Title:       "a stored batch keeps its bytes but for base offset and leader epoch",
	Requirement: "KIP-98; the CRC begins behind the leader epoch",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.fill(log, 2)
		raw := p.batch(0, 3).encode()
		t.mustCode("Produce", t.produceRaw(log, call{}, raw).ErrorCode, codeNone)
		f := t.fetch(log, fetchCall{offset: 2})
		if !t.equal("batches", len(f.batches), 1) {
			return
		}
		b := f.batches[0]
		t.equal("offsets", fmt.Sprint(b.baseOffset, b.lastOffset), "2 4")
		t.equal("leader epoch", b.leaderEpoch, log.topic.epochs[0])
		t.equal("bytes from the magic on", fmt.Sprintf("%x", f.RecordBatches[atMagic:]), fmt.Sprintf("%x", raw[atMagic:]))
	},
}
