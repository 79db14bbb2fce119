package conformance

var groupDescribeStates = Case{
	ID:          "group/describe/1",
	Title:       "DescribeGroups and ListGroups follow a group from nothing to stable to empty",
	Requirement: "DescribeGroups 6 tells GROUP_ID_NOT_FOUND, below it the state Dead (KIP-1043)",
	Level:       Must,
	Needs:       []Need{api(keyDescribeGroups, 6), api(keyListGroups, 4)},
	Run: func(t *T) {
		group := t.newGroup()
		t.code("unknown group at 6", t.describeGroup(6, group).ErrorCode, codeGroupIDNotFound)
		dead := t.describeGroup(5, group)
		t.code("unknown group at 5", dead.ErrorCode, codeNone)
		t.equal("its state at 5", dead.State, "Dead")
		m := t.newMember(group, "").alone()
		stable := t.describeGroup(-1, group)
		t.equal("state with a member", stable.State, "Stable")
		t.equal("protocol type", stable.ProtocolType, "consumer")
		t.equal("protocol", stable.Protocol, "range")
		if t.equal("members", len(stable.Members), 1) {
			t.equal("member id", stable.Members[0].MemberID, m.id)
			t.equal("client id", stable.Members[0].ClientID, "oncelog-conformance")
			t.equal("assignment", string(stable.Members[0].MemberAssignment), "all")
		}
		t.equal("state in the list", t.listed(group), "Stable")
		t.code("LeaveGroup", m.leave(), codeNone)
		t.equal("state after the last member left", t.describeGroup(-1, group).State, "Empty")
		t.equal("state in the list", t.listed(group), "Empty")
	},
}
