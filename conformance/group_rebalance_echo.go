package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var groupRebalanceEcho = Case{
	ID:          "group/rebalance/3",
	Title:       "SyncGroup 5 tells protocol type and name, and refuses a member that means others",
	Requirement: "KIP-559; ClassicGroup, GroupMetadataManager.classicGroupSyncToClassicGroup",
	Level:       Must,
	Needs:       []Need{api(keySyncGroup, 5), api(keyJoinGroup, 7)},
	Run: func(t *T) {
		m := t.newMember(t.newGroup(), "").identify()
		joined := m.join()
		t.equal("JoinGroup: protocol type and name", text(joined.ProtocolType)+" "+text(joined.Protocol), "consumer range")
		sync := func(version int16, kind, name *string) *kmsg.SyncGroupResponse {
			req := kmsg.NewPtrSyncGroupRequest()
			req.Version = t.newest(req, version)
			req.Group, req.MemberID, req.Generation, req.ProtocolType, req.Protocol = m.group, m.id, m.generation, kind, name
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = m.id, []byte("all")
			req.GroupAssignment = append(req.GroupAssignment, a)
			return askOn[*kmsg.SyncGroupResponse](t, m.c, req)
		}
		kind, name, other := "consumer", "range", "other"
		t.code("another protocol type", sync(5, &other, &name).ErrorCode, codeInconsistentProtocol)
		t.code("another protocol", sync(5, &kind, &other).ErrorCode, codeInconsistentProtocol)
		t.code("no protocol named", sync(5, &kind, nil).ErrorCode, codeInconsistentProtocol)
		t.code("no protocol type named", sync(5, nil, &name).ErrorCode, codeInconsistentProtocol)
		named := sync(5, &kind, &name)
		t.code("SyncGroup", named.ErrorCode, codeNone)
		t.equal("its protocol type and name", text(named.ProtocolType)+" "+text(named.Protocol), "consumer range")
		t.equal("its assignment", string(named.MemberAssignment), "all")
		t.equal("assignment at version 4, which names none", string(sync(4, nil, nil).MemberAssignment), "all")
		t.code("LeaveGroup", m.leave(), codeNone)
	},
}
