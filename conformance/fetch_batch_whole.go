package conformance

import (
	"fmt"
	"strings"
)

var fetchBatchWhole = Case{
	ID:          "fetch/batch/1",
	Title:       "the first batch comes whole, above the size limit and from inside of it",
	Requirement: "KIP-74; minOneMessage",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		long := plain(strings.Repeat("a", 500), strings.Repeat("b", 500), "c")
		t.mustCode("Produce", t.produce(log, call{}, long).ErrorCode, codeNone)
		t.fill(log, 1)
		small := t.fetch(log, fetchCall{maxBytes: 1})
		if t.equal("batches with a limit of 1 byte", len(small.batches), 1) {
			t.equal("records of it", len(small.batches[0].values), 3)
		}
		inside := t.fetch(log, fetchCall{offset: 1})
		if t.equal("batches from inside the first", len(inside.batches), 2) {
			t.equal("offsets of the first", fmt.Sprint(inside.batches[0].baseOffset, inside.batches[0].lastOffset), "0 2")
		}
	},
}
