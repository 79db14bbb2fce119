package conformance

var groupRebalanceSecond = Case{
	ID:          "group/rebalance/1",
	Title:       "a second member makes the first one rejoin, both meet in the next generation",
	Requirement: "ClassicGroup states PreparingRebalance, CompletingRebalance, Stable",
	Level:       Must,
	Run: func(t *T) {
		leader, follower := t.pair(t.newGroup())
		t.equal("generation", leader.generation, 2)
		t.code("Heartbeat of the leader", leader.heartbeat(), codeNone)
		t.code("Heartbeat of the follower", follower.heartbeat(), codeNone)
		t.code("LeaveGroup of the follower", follower.leave(), codeNone)
		t.until("the leader hears that the follower left", func() (string, bool) {
			code := leader.heartbeat()
			return codeName(code), code == codeRebalanceInProgress
		})
		t.equal("generation after it left", leader.join().Generation, 3)
		t.code("SyncGroup", leader.sync(map[string]string{leader.id: "all"}).ErrorCode, codeNone)
		t.code("LeaveGroup of the leader", leader.leave(), codeNone)
	},
}
