package conformance

var groupJoinInvalid = Case{
	ID:          "group/join/3",
	Title:       "JoinGroup refuses an empty group, a session out of range and protocols that do not fit",
	Requirement: "GroupMetadataManager.classicGroupJoin",
	Level:       Must,
	Run: func(t *T) {
		m := t.newMember(t.newGroup(), "").alone()
		empty := m.joinRequest(-1)
		empty.Group = ""
		t.code("empty group", askOn[joinResponse](t, m.c, empty).ErrorCode, codeInvalidGroupID)
		short := m.joinRequest(-1)
		short.SessionTimeoutMillis = 1
		t.code("session timeout of 1 ms", askOn[joinResponse](t, m.c, short).ErrorCode, codeInvalidSessionTimeout)
		long := m.joinRequest(-1)
		long.SessionTimeoutMillis = 1<<31 - 1
		t.code("session timeout of 2147483647 ms", askOn[joinResponse](t, m.c, long).ErrorCode, codeInvalidSessionTimeout)
		other := m.joinRequest(3)
		other.MemberID, other.ProtocolType = "", "connect"
		t.code("another protocol type", askOn[joinResponse](t, m.c, other).ErrorCode, codeInconsistentProtocol)
		foreign := m.joinRequest(3)
		foreign.MemberID = ""
		foreign.Protocols = foreign.Protocols[:1]
		foreign.Protocols[0].Name = "sticky"
		t.code("no protocol in common", askOn[joinResponse](t, m.c, foreign).ErrorCode, codeInconsistentProtocol)
		none := m.joinRequest(-1)
		none.Protocols = nil
		t.code("no protocol at all", askOn[joinResponse](t, m.c, none).ErrorCode, codeInconsistentProtocol)
		t.code("Heartbeat of the member inside", m.heartbeat(), codeNone)
		t.code("LeaveGroup", m.leave(), codeNone)
	},
}
