package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var groupStaticLeave = Case{
	ID:          "group/static/2",
	Title:       "a static member is put out by its instance id alone",
	Requirement: "KIP-345; LeaveGroup 3",
	Level:       Must,
	Needs:       []Need{api(keyLeaveGroup, 3), api(keyJoinGroup, 5)},
	Run: func(t *T) {
		group := t.newGroup()
		m := t.newMember(group, "instance-1").alone()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version = t.newest(req, -1)
		req.Group = group
		for _, instance := range []string{"instance-1", "instance-2"} {
			one := kmsg.NewLeaveGroupRequestMember()
			one.InstanceID = &instance
			req.Members = append(req.Members, one)
		}
		resp := askOn[*kmsg.LeaveGroupResponse](t, m.c, req)
		t.mustCode("LeaveGroup", resp.ErrorCode, codeNone)
		if t.equal("members answered", len(resp.Members), 2) {
			t.code("the member", resp.Members[0].ErrorCode, codeNone)
			t.code("an instance nobody knows", resp.Members[1].ErrorCode, codeUnknownMemberID)
		}
		t.equal("state", t.describeGroup(-1, group).State, "Empty")
		t.code("Heartbeat of the member put out", m.heartbeat(), codeUnknownMemberID, codeFencedInstanceID)
	},
}
