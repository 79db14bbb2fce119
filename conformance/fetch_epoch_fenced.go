package conformance

var fetchEpochFenced = Case{
	ID:          "fetch/epoch/1",
	Title:       "a fetch with another leader epoch is UNKNOWN_LEADER_EPOCH or FENCED_LEADER_EPOCH",
	Requirement: "KIP-320; Partition.getPartitionOrError",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 9)},
	Run: func(t *T) {
		log := t.oneLog()
		current := log.topic.epochs[0]
		newer, older := current+1, current-1
		t.code("current epoch", t.fetch(log, fetchCall{epoch: &current}).ErrorCode, codeNone)
		t.code("newer epoch", t.fetch(log, fetchCall{epoch: &newer}).ErrorCode, codeUnknownLeaderEpoch)
		if older >= 0 {
			t.code("older epoch", t.fetch(log, fetchCall{epoch: &older}).ErrorCode, codeFencedLeaderEpoch)
		}
	},
}
