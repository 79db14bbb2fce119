package conformance

import "strings"

var groupJoinIdentify = Case{
	ID:          "group/join/1",
	Title:       "JoinGroup 4 without a member id is MEMBER_ID_REQUIRED with an id to join with",
	Requirement: "KIP-394; GroupMetadataManager.classicGroupJoin",
	Level:       Must,
	Needs:       []Need{api(keyJoinGroup, 4)},
	Run: func(t *T) {
		var m *member
		for _, version := range []int16{4, -1} {
			m = t.newMember(t.newGroup(), "") // in one group, Kafka 3.9 would wait for the first id to join
			resp := m.firstJoin(version)
			t.code("JoinGroup without a member id", resp.ErrorCode, codeMemberIDRequired)
			t.record("member id of the answer", strings.TrimSpace(resp.MemberID) != "", "an id", resp.MemberID)
			m.id = resp.MemberID
		}
		joined := m.join()
		t.equal("member id kept", joined.MemberID, m.id)
		t.equal("leader", joined.LeaderID, m.id)
		t.equal("generation", joined.Generation, 1)
		t.equal("members told to the leader", len(joined.Members), 1)
		t.equal("protocol chosen", text(joined.Protocol), "range")
		synced := m.sync(map[string]string{m.id: "mine"})
		t.code("SyncGroup", synced.ErrorCode, codeNone)
		t.equal("assignment", string(synced.MemberAssignment), "mine")
		t.code("Heartbeat", m.heartbeat(), codeNone)
		t.code("LeaveGroup", m.leave(), codeNone)
		t.code("Heartbeat after leaving", m.heartbeat(), codeUnknownMemberID)
	},
}
