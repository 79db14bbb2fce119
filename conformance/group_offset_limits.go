package conformance

import "strings"

var groupOffsetLimits = Case{
	ID:          "group/offset/2",
	Title:       "metadata above its limit is refused, a generation without a group is too",
	Requirement: "offset.metadata.max.bytes; GroupMetadataManager",
	Level:       Must,
	Needs:       []Need{api(keyOffsetCommit, 8)},
	Run: func(t *T) {
		log, group := t.oneLog(), t.newGroup()
		long := commitCall{offset: 1, metadata: strings.Repeat("m", 5000)}
		t.code("metadata of 5000 bytes", t.commitOffset(group, log, long), codeOffsetMetadataTooLarge)
		unknown := t.name("group")
		ghost := &member{t: t, group: unknown, id: "nobody", generation: 5}
		old := commitCall{version: at(8), member: ghost, offset: 1}
		t.code("OffsetCommit 8, generation 5 of a group nobody knows", t.commitOffset(unknown, log, old), codeIllegalGeneration)
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, -1)
	},
}
