package conformance

var offsetsListEpoch = Case{
	ID:          "offsets/list/5",
	Title:       "ListOffsets tells the leader epoch of what it found",
	Requirement: "KIP-320; ListOffsets 4",
	Level:       Must,
	Needs:       []Need{api(keyListOffsets, 4)},
	Run: func(t *T) {
		log := t.oneLog()
		now := t.stamp(log, 0, 100)
		current := log.topic.epochs[0]
		t.equal("epoch of latest", t.listOffset(log, offsetLatest, readUncommitted).LeaderEpoch, current)
		t.equal("epoch of earliest", t.listOffset(log, offsetEarliest, readUncommitted).LeaderEpoch, current)
		t.equal("epoch of a time", t.listOffset(log, now+50, readUncommitted).LeaderEpoch, current)
		t.equal("epoch of a time behind all", t.listOffset(log, now+500, readUncommitted).LeaderEpoch, -1)
	},
}
