package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var fetchEpochDiverging = Case{
	ID:          "fetch/epoch/2",
	Title:       "a fetch behind the end of the epoch that its reader read last is told where that epoch ends",
	Requirement: "KIP-595; Partition.readRecords, Fetch 12",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 12)},
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 3)
		current := log.topic.epochs[0]
		fetch := func(offset int64, last int32) fetched {
			req := t.fetchRequest(log, fetchCall{offset: offset})
			req.Topics[0].Partitions[0].LastFetchedEpoch = last
			return t.readFetch(ask[*kmsg.FetchResponse](t, log.leader(), req))
		}
		ends := func(f fetched) string {
			return fmt.Sprint(codeName(f.ErrorCode), " ", f.DivergingEpoch.Epoch, " ", f.DivergingEpoch.EndOffset)
		}
		for offset := range int64(4) {
			same := fetch(offset, current)
			t.equal(fmt.Sprintf("offset %d, read in the current epoch", offset), ends(same), "NONE -1 -1")
			t.equal("batches", len(same.batches), 3-offset)
		}
		behind := fetch(4, current)
		t.equal("offset 4 of 3, read in the current epoch", ends(behind), fmt.Sprint("NONE ", current, " 3"))
		t.equal("batches", len(behind.batches), 0)
		t.code("offset 4 of 3, read in no epoch", fetch(4, -1).ErrorCode, codeOffsetOutOfRange)
		t.code("read in an epoch to come", fetch(1, current+1).ErrorCode, codeOffsetOutOfRange)
	},
}
