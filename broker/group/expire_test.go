package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const day = 24 * time.Hour

func TestExpiredOffsets(t *testing.T) {
	now := time.UnixMilli(0).Add(100 * day)
	at := func(d time.Duration) int64 { return time.UnixMilli(0).Add(d).UnixMilli() }
	topics := map[string]struct{}{"orders": {}}
	cases := []struct {
		name         string
		state        State
		protocolType string
		since        int64
		subscribed   map[string]struct{}
		topic        string
		o            committed
		want         bool
	}{
		{"standalone, old", Empty, "", -1, nil, "orders", committed{commitMs: at(93 * day), expireMs: -1}, true},
		{"standalone, not yet", Empty, "", -1, nil, "orders", committed{commitMs: at(93*day + 1e6), expireMs: -1}, false},
		{"empty for long, committed lately", Empty, "consumer", at(90 * day), map[string]struct{}{}, "orders", committed{commitMs: at(99 * day), expireMs: -1}, true},
		{"empty lately, committed long ago", Empty, "consumer", at(99 * day), map[string]struct{}{}, "orders", committed{commitMs: at(1 * day), expireMs: -1}, false},
		{"empty, time unknown", Empty, "consumer", -1, map[string]struct{}{}, "orders", committed{commitMs: at(1 * day), expireMs: -1}, true},
		{"stable, subscribed", Stable, "consumer", at(1 * day), topics, "orders", committed{commitMs: at(1 * day), expireMs: -1}, false},
		{"stable, no longer subscribed", Stable, "consumer", at(1 * day), topics, "other", committed{commitMs: at(1 * day), expireMs: -1}, true},
		{"stable, subscription unreadable", Stable, "consumer", at(1 * day), nil, "other", committed{commitMs: at(1 * day), expireMs: -1}, false},
		{"rebalancing", PreparingRebalance, "consumer", at(1 * day), topics, "other", committed{commitMs: at(1 * day), expireMs: -1}, false},
		{"connect, stable", Stable, "connect", at(1 * day), nil, "orders", committed{commitMs: at(1 * day), expireMs: -1}, false},
		{"own expiry passed", Empty, "", -1, nil, "orders", committed{commitMs: at(99 * day), expireMs: at(99 * day)}, true},
		{"own expiry ahead", Empty, "", -1, nil, "orders", committed{commitMs: at(1 * day), expireMs: at(101 * day)}, false},
	}
	for _, tc := range cases {
		g := newGroup("g", tc.since)
		g.state, g.protocolType, g.subscribed = tc.state, tc.protocolType, tc.subscribed
		if got := g.expired(partition{tc.topic, 0}, tc.o, now, 7*day); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestOffsetsExpireAfterTheGroupIsEmpty(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1, OffsetsRetentionCheckInterval: time.Hour}, func(w *world) {
		c := w.client()
		c.session = 30 * time.Minute
		w.stable(c)
		want(t, "commit", c.commit(0, 5), nil)
		for range 10 * 24 * 4 { // ten days, longer than the retention
			time.Sleep(15 * time.Minute)
			want(t, "heartbeat", c.heartbeat(), nil)
		}
		w.wantFetch("g", 0, true, 5, nil)
		want(t, "leave", c.leave(), nil)
		w.wantState(Empty, 0)
		time.Sleep(7*day - time.Minute)
		w.wantFetch("g", 0, true, 5, nil)
		time.Sleep(2 * time.Hour)
		w.wantFetch("g", 0, true, -1, nil)
		if g := w.describe("g"); g.State != "Dead" {
			t.Errorf("the group is still %s", g.State)
		}
		w.restart()
		if g := w.describe("g"); g.State != "Dead" {
			t.Errorf("after restart the group is %s", g.State)
		}
	})
}

func TestPendingOffsetsKeepAGroup(t *testing.T) { // hard-19
	bubble(t, Config{OffsetsRetentionCheckInterval: time.Hour}, func(w *world) {
		c := w.client()
		want(t, "commit", c.commit(0, 5), nil)
		want(t, "commit in a transaction", c.commitInTxn(7, 0, 1, 6), nil)
		time.Sleep(8 * day)
		w.wantFetch("g", 0, true, 5, nil)
		w.wantFetch("g", 1, true, -1, kerr.UnstableOffsetCommit)
		w.mark(7, 0, true)
		time.Sleep(2 * time.Hour)
		w.wantFetch("g", 0, true, -1, nil)
		w.wantFetch("g", 1, true, -1, nil)
	})
}

func TestGroupsThatNeverWereAreForgotten(t *testing.T) {
	bubble(t, Config{OffsetsRetentionCheckInterval: time.Hour}, func(w *world) {
		want(t, "join", w.client().joinOnce(), kerr.MemberIDRequired)
		if got := w.list(nil, nil); len(got) != 1 {
			t.Errorf("groups: %v", got)
		}
		time.Sleep(2 * time.Hour)
		w.settle()
		if got := w.list(nil, nil); len(got) != 0 {
			t.Errorf("groups: %v", got)
		}
		if w.p.EndOffset() != 0 {
			t.Errorf("%d records were written for it", w.p.EndOffset())
		}
	})
}

// Replay ends where the living coordinator did: a group that only held offsets
// is gone with the last of them.
func TestStandaloneGroupIsGoneAfterARestart(t *testing.T) {
	bubble(t, Config{OffsetsRetentionCheckInterval: time.Hour}, func(w *world) {
		want(t, "commit", w.client().commit(0, 5), nil)
		time.Sleep(7*day + 2*time.Hour)
		w.settle()
		if got := w.list(nil, nil); len(got) != 0 {
			t.Errorf("groups: %v", got)
		}
		w.restart()
		if got := w.list(nil, nil); len(got) != 0 {
			t.Errorf("groups after a restart: %v", got)
		}
	})
}

func TestRefusedJoinLeavesNoGroup(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		c.protocols = nil
		want(t, "join", c.joinOnce(), kerr.InconsistentGroupProtocol)
		if got := w.list(nil, nil); len(got) != 0 {
			t.Errorf("groups: %v", got)
		}
	})
}
