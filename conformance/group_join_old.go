package conformance

var groupJoinOld = Case{
	ID:          "group/join/2",
	Title:       "JoinGroup below 4 joins without asking for a member id",
	Requirement: "KIP-394; kafka-go sends JoinGroup 2",
	Level:       Must,
	Run: func(t *T) {
		for _, version := range []int16{2, 3} {
			m := t.newMember(t.newGroup(), "")
			resp := m.firstJoin(version)
			t.mustCode("JoinGroup without a member id", resp.ErrorCode, codeNone)
			m.id, m.generation = resp.MemberID, resp.Generation
			t.code("SyncGroup", m.sync(map[string]string{m.id: "mine"}).ErrorCode, codeNone)
			t.code("Heartbeat", m.heartbeat(), codeNone)
			t.code("LeaveGroup", m.leave(), codeNone)
		}
	},
}
