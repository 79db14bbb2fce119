package conformance

import "fmt"

var groupStaticRejoin = Case{
	ID:          "group/static/1",
	Title:       "a static member returns under a new id without a rebalance, its old id is fenced",
	Requirement: "KIP-345; GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin",
	Level:       Must,
	Needs:       []Need{api(keyJoinGroup, 5), api(keyHeartbeat, 3), api(keySyncGroup, 3)},
	Run: func(t *T) {
		group := t.newGroup()
		first := t.newMember(group, "instance-1").alone()
		back := t.newMember(group, "instance-1")
		joined := back.join()
		t.record("member id", joined.MemberID != first.id, "another than "+first.id, joined.MemberID)
		t.equal("generation", fmt.Sprint(joined.Generation), fmt.Sprint(first.generation))
		t.equal("assignment kept", string(back.sync(nil).MemberAssignment), "all")
		t.code("Heartbeat of the new id", back.heartbeat(), codeNone)
		t.code("Heartbeat of the old id", first.heartbeat(), codeFencedInstanceID)
		t.code("SyncGroup of the old id", first.sync(nil).ErrorCode, codeFencedInstanceID)
		t.code("LeaveGroup", back.leave(), codeNone)
	},
}
