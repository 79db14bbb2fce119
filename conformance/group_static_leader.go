package conformance

import "fmt"

var groupStaticLeader = Case{
	ID:          "group/static/3",
	Title:       "a static leader that returns is told all members and to skip the assignment",
	Requirement: "KIP-814; GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin, JoinGroup 9",
	Level:       Must,
	Needs:       []Need{api(keyJoinGroup, 9), api(keySyncGroup, 3)},
	Run: func(t *T) {
		group := t.newGroup()
		first := t.newMember(group, "instance-1").alone()
		back := t.newMember(group, "instance-1")
		joined := back.join()
		t.equal("generation", fmt.Sprint(joined.Generation), fmt.Sprint(first.generation))
		t.record("leader", joined.LeaderID == back.id, back.id, joined.LeaderID)
		t.equal("members told", len(joined.Members), 1)
		t.equal("skip the assignment", joined.SkipAssignment, true)
		t.equal("assignment kept", string(back.sync(nil).MemberAssignment), "all")
		t.code("LeaveGroup", back.leave(), codeNone)
	},
}
