package conformance

import "time"

var groupSessionExpires = Case{
	ID:          "group/session/1",
	Title:       "a member that sends no heartbeat leaves after its session, one that does stays",
	Requirement: "ClassicGroup.completeAndScheduleNextHeartbeatExpiration; session.timeout.ms",
	Level:       Must,
	Run: func(t *T) {
		quiet, lively := t.newGroup(), t.newGroup()
		join := func(group string) *member {
			m := t.newMember(group, "").identify()
			req := m.joinRequest(-1)
			req.SessionTimeoutMillis = 6000
			resp := askOn[joinResponse](t, m.c, req)
			t.mustCode("JoinGroup", resp.ErrorCode, codeNone)
			m.generation = resp.Generation
			t.mustCode("SyncGroup", m.sync(map[string]string{m.id: "all"}).ErrorCode, codeNone)
			return m
		}
		alive, silent := join(lively), join(quiet) // a join may take the initial rebalance delay
		started := time.Now()
		t.until("the silent member is gone", func() (string, bool) {
			t.code("Heartbeat of the other", alive.heartbeat(), codeNone)
			state := t.describeGroup(-1, quiet).State
			return state, state == "Empty"
		})
		took := time.Since(started)
		t.record("time it took", took > 5*time.Second && took < 10*time.Second, "about 6 s", took.Round(100*time.Millisecond).String())
		t.code("Heartbeat of the silent member", silent.heartbeat(), codeUnknownMemberID)
		t.equal("state of the other group", t.describeGroup(-1, lively).State, "Stable")
		t.code("LeaveGroup", alive.leave(), codeNone)
	},
}
