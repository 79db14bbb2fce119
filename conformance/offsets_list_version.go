package conformance

var offsetsListVersion = Case{
	ID:          "offsets/list/4",
	Title:       "a special timestamp newer than the version is UNSUPPORTED_VERSION for the partition",
	Requirement: "ReplicaManager.fetchOffset, ListOffsetsRequest",
	Level:       Should,
	Needs:       []Need{api(keyListOffsets, 7)},
	Run: func(t *T) {
		log := t.oneLog()
		t.code("newest timestamp at 6", t.listOffsetAt(6, log, offsetMaxTimestamp, readUncommitted).ErrorCode, codeUnsupportedVersion)
		t.code("newest timestamp at 7", t.listOffsetAt(7, log, offsetMaxTimestamp, readUncommitted).ErrorCode, codeNone)
		t.code("earliest local at 7", t.listOffsetAt(7, log, offsetLocal, readUncommitted).ErrorCode, codeUnsupportedVersion)
		t.code("-99", t.listOffset(log, -99, readUncommitted).ErrorCode, codeUnsupportedVersion)
	},
}
