package conformance

var groupRebalanceSync = Case{
	ID:          "group/rebalance/2",
	Title:       "only the leader is told the members, a sync waits for the leader's assignment",
	Requirement: "ClassicGroup; SyncGroup of a follower waits in CompletingRebalance",
	Level:       Must,
	Run: func(t *T) {
		group := t.newGroup()
		a := t.newMember(group, "").alone()
		b := t.newMember(group, "").identify()
		joined := b.startJoin()
		t.until("the first member hears of the rebalance", func() (string, bool) {
			code := a.heartbeat()
			return codeName(code), code == codeRebalanceInProgress
		})
		t.code("SyncGroup during the rebalance", a.sync(nil).ErrorCode, codeRebalanceInProgress)
		first, second := a.join(), joined()
		t.equal("leader", first.LeaderID, second.LeaderID)
		leader, follower := a, b
		if first.LeaderID == b.id {
			leader, follower = b, a
			first, second = second, first
		}
		t.equal("members told to the leader", len(first.Members), 2)
		t.equal("members told to the follower", len(second.Members), 0)
		waiting := follower.startSync(nil)
		mine := leader.sync(map[string]string{leader.id: "one", follower.id: "two"})
		t.equal("assignment of the leader", string(mine.MemberAssignment), "one")
		t.equal("assignment of the follower", string(waiting().MemberAssignment), "two")
		again := follower.sync(nil)
		t.equal("assignment asked again", string(again.MemberAssignment), "two")
		t.code("LeaveGroup", leader.leave(), codeNone)
		t.code("LeaveGroup", follower.leave(), codeNone)
	},
}
