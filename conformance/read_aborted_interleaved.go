package conformance

import (
	"fmt"
	"slices"
)

var readAbortedInterleaved = Case{
	ID:          "read/aborted/2",
	Title:       "of two interleaved producers only the one that aborts is hidden",
	Requirement: "KIP-98; consumer side filtering by producer id",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			bad, good := t.transactional(tv), t.transactional(tv)
			var want []string
			for range 3 {
				bad.begin(log)
				good.begin(log)
				bad.append(log, 1)
				want = append(want, good.batch(good.next[log], 1).values...)
				good.append(log, 1)
				bad.append(log, 2)
				want = append(want, good.batch(good.next[log], 2).values...)
				good.append(log, 2)
				open := t.highWatermark(log)
				bad.end(false)
				t.until("the first marker is written", func() (string, bool) {
					hw := t.highWatermark(log)
					return fmt.Sprintf("high watermark %d", hw), hw > open
				})
				good.endSettled(true, log)
			}
			got := t.committed(log)
			t.record("records shown", slices.Equal(got, want), fmt.Sprint(want), fmt.Sprint(got))
			t.equal("records stored", len(t.values(log)), 18)
		}
	},
}
