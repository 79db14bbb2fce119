package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

func TestStaticMemberReturnsWithoutRebalance(t *testing.T) {
	for _, tc := range []struct {
		name   string
		leader bool
	}{{"leader", true}, {"follower", false}} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
				a, b := w.static("a"), w.static("b")
				w.stable(a, b)
				if a.leader != tc.leader {
					a, b = b, a
				}
				beat(9*time.Second, b) // a is away, within its session
				again := w.static(*a.instance)
				want(t, "return", again.join(), nil)
				if again.generation != 1 || again.id == a.id {
					t.Errorf("generation %d, id %q; want the same generation and a new id", again.generation, again.id)
				}
				if again.leader != tc.leader || again.skip != tc.leader {
					t.Errorf("leader %v, skip assignment %v, want %v", again.leader, again.skip, tc.leader)
				}
				got, err := again.sync()
				want(t, "sync", err, nil)
				if got != "for "+a.id {
					t.Errorf("assignment %q, want that of the old id", got)
				}
				want(t, "heartbeat of the other", b.heartbeat(), nil)
				want(t, "heartbeat under the old id", a.heartbeat(), kerr.FencedInstanceID)
				want(t, "commit under the old id", a.commit(0, 1), kerr.FencedInstanceID)
				want(t, "join under the old id", a.joinOnce(), kerr.FencedInstanceID)
				want(t, "commit", again.commit(0, 2), nil)
				beat(9*time.Second, again, b)
				w.wantState(Stable, 2)
			})
		})
	}
}

func TestStaticLeaderOfAnOldVersionIsNotToldThatItLeads(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a := w.static("a")
		w.stable(a)
		again := w.static("a")
		again.version = 8
		want(t, "return", again.join(), nil)
		if again.leader || again.skip || len(again.members) != 0 {
			t.Errorf("leader %v, skip %v, members %v", again.leader, again.skip, again.members)
		}
	})
}

func TestStaticMemberWhoseIDCannotBeStored(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		a := w.static("a")
		w.stable(a)
		w.p.Fail(shardtest.Refused)
		again := w.static("a")
		if err := again.join(); err == nil {
			t.Error("join succeeded although the append was refused")
		}
		want(t, "the old id goes on", a.heartbeat(), nil)
		w.wantState(Stable, 1)
	})
}

func TestStaticMemberThatChangesTheProtocolRebalances(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		a := w.static("a")
		a.protocols = []string{"range", "sticky"}
		w.stable(a)
		again := w.static("a")
		again.protocols = []string{"sticky"}
		want(t, "return", again.enter(), nil)
		if again.generation != 2 {
			t.Errorf("generation %d, want 2", again.generation)
		}
	})
}

func TestStaticMemberStaysAwayTooLong(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.static("a"), w.static("b")
		w.stable(a, b)
		beat(10*time.Second, b)
		w.settle()
		want(t, "the other is told", b.heartbeat(), kerr.RebalanceInProgress)
		want(t, "heartbeat of the one away", a.heartbeat(), kerr.UnknownMemberID)
	})
}

func TestStaticMemberReturnsDuringTheJoinPhase(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.static("a"), w.static("b")
		w.stable(a, b)
		joining := later(w.client().enter)
		wantNone(t, "third", joining)
		again := w.static("a")
		back := later(again.enter)
		wantNone(t, "return", back)
		want(t, "b joins", b.enter(), nil)
		wantAnswer(t, "return", back, nil)
		wantAnswer(t, "third", joining, nil)
		w.wantState(Stable, 3)
	})
}

func TestStaticMemberThatDidNotRejoinKeepsItsPlace(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.static("a"), w.static("b")
		a.session, a.rebalance, b.rebalance = time.Minute, 20*time.Second, 20*time.Second
		w.stable(a, b)
		c := w.client()
		c.rebalance = 20 * time.Second
		joining := later(c.enter)
		w.settle()
		want(t, "b joins", b.enter(), nil) // after the rebalance timeout: a did not come
		wantAnswer(t, "third", joining, nil)
		w.wantState(Stable, 3)
	})
}

func TestSecondProcessOfAStaticMemberFencesTheFirst(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		first := later(w.static("a").join)
		wantNone(t, "first", first)
		secondProcess := later(w.static("a").enter)
		wantAnswer(t, "first", first, kerr.FencedInstanceID)
		wantAnswer(t, "second", secondProcess, nil)
	})
}
