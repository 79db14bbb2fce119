package conformance

var groupJoinProtocol = Case{
	ID:          "group/join/4",
	Title:       "the group takes the protocol that all of its members know",
	Requirement: "ClassicGroup.selectProtocol",
	Level:       Must,
	Run: func(t *T) {
		group := t.newGroup()
		a := t.newMember(group, "").alone()
		b := t.newMember(group, "").identify()
		req := b.joinRequest(-1)
		req.Protocols = req.Protocols[1:]
		joined := send[joinResponse](t, b.c, req)
		t.until("the first member hears of the rebalance", func() (string, bool) {
			code := a.heartbeat()
			return codeName(code), code == codeRebalanceInProgress
		})
		first, second := a.join(), joined()
		t.mustCode("JoinGroup", second.ErrorCode, codeNone)
		t.equal("protocol told to both", text(first.Protocol)+" "+text(second.Protocol), "roundrobin roundrobin")
		for _, m := range append(first.Members, second.Members...) {
			t.equal("metadata told to the leader", string(m.ProtocolMetadata), string(subscription("roundrobin", nil)))
		}
		b.generation = second.Generation
		t.code("LeaveGroup", a.leave(), codeNone)
		t.code("LeaveGroup", b.leave(), codeNone)
	},
}
