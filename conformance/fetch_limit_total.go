package conformance

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var fetchLimitTotal = Case{
	ID:          "fetch/limit/1",
	Title:       "the size limit of a fetch holds over its partitions but for the first batch",
	Requirement: "KIP-74; fetch.max.bytes",
	Level:       Must,
	Run: func(t *T) {
		tp := t.together(3)
		for i := range int32(3) {
			for range 4 {
				t.mustCode("Produce", t.produce(tp.at(i), call{}, plain(strings.Repeat("v", 1000))).ErrorCode, codeNone)
			}
		}
		sizes := func(maxBytes int32) (total, partitions int) {
			req := t.fetchRequest(tp.at(0), fetchCall{})
			req.MaxBytes = maxBytes
			for i := range int32(2) {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchPartition(tp.at(i+1), fetchCall{}))
			}
			resp := ask[*kmsg.FetchResponse](t, tp.leaders[0], req)
			for _, p := range resp.Topics[0].Partitions {
				t.code("its code", p.ErrorCode, codeNone)
				total += len(p.RecordBatches)
				if len(p.RecordBatches) > 0 {
					partitions++
				}
			}
			return total, partitions
		}
		total, partitions := sizes(1)
		t.record("bytes with a limit of 1", total > 1000 && total < 2000, "one batch", plural(total, "byte"))
		t.equal("partitions with records", partitions, 1)
		total, _ = sizes(5000)
		t.record("bytes with a limit of 5000", total > 1000 && total <= 5000, "at most 5000", plural(total, "byte"))
		total, partitions = sizes(1 << 20)
		t.record("bytes with a limit of 1 MiB", total > 12000, "all 12 batches", plural(total, "byte"))
		t.equal("partitions with records", partitions, 3)
	},
}
