package group

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

func TestFirstMembersWaitTheInitialDelay(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		start := time.Now()
		a, b := w.client(), w.client()
		w.stable(a, b)
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("initial rebalance took %v, want 6s: 3s, and 3s more as a second member came", took)
		}
		if a.generation != 1 || b.generation != 1 || a.leader == b.leader {
			t.Errorf("generations %d, %d; leaders %v, %v", a.generation, b.generation, a.leader, b.leader)
		}
		if len(a.members)+len(b.members) != 2 {
			t.Errorf("only the leader is told the members: %v, %v", a.members, b.members)
		}
		w.wantState(Stable, 2)
	})
}

func TestNoInitialDelay(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		start := time.Now()
		w.stable(w.client())
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestJoinRefusals(t *testing.T) {
	bubble(t, Config{MaxSize: 2, MaxMetadataSize: 1000}, func(w *world) {
		cases := []struct {
			name string
			edit func(c *client)
			want *kerr.Error
		}{
			{"empty group id", func(c *client) { c.group = "" }, kerr.InvalidGroupID},
			{"session of 1 ms", func(c *client) { c.session = time.Millisecond }, kerr.InvalidSessionTimeout},
			{"session above the maximum", func(c *client) { c.session = time.Hour }, kerr.InvalidSessionTimeout},
			{"no protocols", func(c *client) { c.protocols = nil }, kerr.InconsistentGroupProtocol},
			{"member id of an unknown group", func(c *client) { c.id = "x"; c.group = "none" }, kerr.UnknownMemberID},
			{"group id that no key can hold", func(c *client) { c.group = strings.Repeat("g", 32768) }, kerr.InvalidGroupID},
			{"protocol name that no value can hold", func(c *client) { c.protocols = []string{strings.Repeat("p", 32768)} }, kerr.InvalidRequest},
			{"instance id that no value can hold", func(c *client) { c.instance = new(strings.Repeat("i", 32768)) }, kerr.InvalidRequest},
			{"dynamic member without id", func(*client) {}, kerr.MemberIDRequired},
		}
		for _, tc := range cases {
			c := w.client()
			tc.edit(c)
			want(t, tc.name, c.joinOnce(), tc.want)
		}
		w.stable(w.client())
		c := w.client()
		c.protocols = []string{"roundrobin"}
		want(t, "protocol that the others lack", c.join(), kerr.InconsistentGroupProtocol)
		c = w.client()
		c.id = "x"
		want(t, "unknown member id", c.joinOnce(), kerr.UnknownMemberID)
		c = w.client()
		c.topic = string(make([]byte, 1000))
		want(t, "too much metadata", c.joinOnce(), kerr.GroupMaxSizeReached)
	})
}

// From version 5 on a sync says which protocol its member means (KIP-559).
func TestSyncNamesItsProtocol(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "join", c.join(), nil)
		kind, name := c.kind, c.name
		for _, tc := range []struct {
			what       string
			kind, name *string
		}{
			{"no protocol type", nil, name},
			{"no protocol", kind, nil},
			{"another protocol type", new("connect"), name},
			{"another protocol", kind, new("sticky")},
		} {
			c.kind, c.name = tc.kind, tc.name
			_, err := c.sync()
			want(t, tc.what, err, kerr.InconsistentGroupProtocol)
		}
		c.kind, c.name = kind, name
		_, err := c.sync()
		want(t, "what it joined with", err, nil)
	})
}

func TestOldVersionsJoinAtOnce(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		c := w.client()
		c.version = 2
		want(t, "join", c.joinOnce(), nil)
		if !c.leader || c.generation != 1 {
			t.Errorf("leader %v, generation %d", c.leader, c.generation)
		}
	})
}

func TestGroupIsFull(t *testing.T) {
	bubble(t, Config{MaxSize: 2, InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.client()
		w.stable(a, b)
		want(t, "third member", w.client().join(), kerr.GroupMaxSizeReached)
		w.wantState(Stable, 2)
		want(t, "a member of a full group may join again", a.join(), nil)
	})
}

func TestMemberIDIsForgotten(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "first join", c.joinOnce(), kerr.MemberIDRequired)
		time.Sleep(c.session)
		w.settle()
		want(t, "join after the session timeout", c.joinOnce(), kerr.UnknownMemberID)
	})
}

func TestSecondMemberStartsARebalance(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		a := w.client()
		w.stable(a)
		b := w.client()
		joining := later(b.enter)
		wantNone(t, "join of b", joining)
		want(t, "heartbeat of a", a.heartbeat(), kerr.RebalanceInProgress)
		want(t, "commit of a during the join phase", a.commit(0, 5), nil)
		want(t, "sync of a during the join phase", second(a.sync()), kerr.RebalanceInProgress)
		start := time.Now()
		want(t, "a joins again", a.join(), nil)
		if took := time.Since(start); took != 0 {
			t.Errorf("all members are there, yet the join phase went on for %v", took)
		}
		want(t, "commit of a before the assignment", a.commit(0, 6), kerr.RebalanceInProgress)
		want(t, "sync of a", second(a.sync()), nil)
		wantAnswer(t, "b", joining, nil)
		if a.generation != 2 || b.generation != 2 {
			t.Errorf("generations %d and %d, want 2", a.generation, b.generation)
		}
	})
}

func second(_ string, err *kerr.Error) *kerr.Error { return err }

func TestRebalanceTimeoutRemovesTheSilent(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		a, b := w.client(), w.client()
		a.session, b.session = time.Minute, time.Minute
		w.stable(a, b)
		joining := later(w.client().enter)
		w.settle()
		start := time.Now()
		silent, other := a, b // the leader is the one that stays away
		if b.leader {
			silent, other = b, a
		}
		want(t, "the other joins again", other.join(), nil)
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("join phase took %v, want the rebalance timeout", took)
		}
		if !other.leader {
			t.Error("leadership did not pass on")
		}
		want(t, "sync", second(other.sync()), nil)
		wantAnswer(t, "third", joining, nil)
		want(t, "heartbeat of the silent one", silent.heartbeat(), kerr.UnknownMemberID)
		w.wantState(Stable, 2)
	})
}

func TestSessionExpires(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		a, b := w.client(), w.client()
		w.stable(a, b)
		start := time.Now()
		for a.heartbeat() == nil {
			time.Sleep(500 * time.Millisecond)
			w.settle()
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("b was missed after %v, want its session timeout", took)
		}
		want(t, "a joins alone", a.join(), nil)
		want(t, "sync", second(a.sync()), nil)
		w.wantState(Stable, 1)
		time.Sleep(10 * time.Second)
		w.settle()
		w.wantState(Empty, 0)
	})
}

func TestMemberThatDoesNotSyncIsRemoved(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		a, b := w.client(), w.client()
		ja, jb := later(a.join), later(b.join)
		wantAnswer(t, "a", ja, nil)
		wantAnswer(t, "b", jb, nil)
		leader, other := a, b
		if b.leader {
			leader, other = b, a
		}
		want(t, "sync of the leader", second(leader.sync()), nil)
		w.wantState(Stable, 2)
		beat(29*time.Second, leader, other)
		want(t, "before the rebalance timeout", leader.heartbeat(), nil)
		beat(time.Second, leader, other)
		w.settle()
		want(t, "after it", leader.heartbeat(), kerr.RebalanceInProgress)
		want(t, "other", other.heartbeat(), kerr.UnknownMemberID)
	})
}

func TestCooperativeSecondRound(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.client()
		a.protocols, b.protocols = []string{"cooperative-sticky"}, []string{"cooperative-sticky"}
		w.stable(a, b)
		// The leader gives up a partition: with changed metadata it joins again,
		// while the other keeps its assignment until its heartbeat tells it.
		leader, other := a, b
		if b.leader {
			leader, other = b, a
		}
		leader.topic = "other"
		round := later(leader.enter)
		wantNone(t, "second round", round)
		want(t, "heartbeat", other.heartbeat(), kerr.RebalanceInProgress)
		want(t, "commit between the rounds", other.commit(1, 7), nil)
		want(t, "other joins", other.join(), nil)
		want(t, "other syncs", second(other.sync()), nil)
		wantAnswer(t, "second round", round, nil)
		if leader.generation != 2 || other.generation != 2 {
			t.Errorf("generations %d, %d, want 2", leader.generation, other.generation)
		}
	})
}

func TestFollowerThatJoinsUnchangedStays(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.client()
		w.stable(a, b)
		follower, leader := a, b
		if a.leader {
			follower, leader = b, a
		}
		want(t, "join", follower.join(), nil)
		if follower.generation != 1 {
			t.Errorf("generation %d, want 1", follower.generation)
		}
		want(t, "heartbeat of the leader", leader.heartbeat(), nil)
	})
}

func TestLeaveEndsTheGroup(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.client()
		w.stable(a, b)
		want(t, "a leaves", a.leave(), nil)
		want(t, "a leaves again", a.leave(), kerr.UnknownMemberID)
		want(t, "b is told", b.heartbeat(), kerr.RebalanceInProgress)
		want(t, "b leaves", b.leave(), nil)
		w.wantState(Empty, 0)
		if g := w.describe("g"); g.ProtocolType != "consumer" || g.ErrorCode != 0 {
			t.Errorf("protocol type %q, error %d", g.ProtocolType, g.ErrorCode)
		}
	})
}

func TestLeaveManyAndOldVersion(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, s := w.client(), w.static("s")
		w.stable(a, s)
		req, resp := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrLeaveGroupResponse()
		req.Version, req.Group = 4, "g"
		byInstance, nobody, fenced := kmsg.NewLeaveGroupRequestMember(), kmsg.NewLeaveGroupRequestMember(), kmsg.NewLeaveGroupRequestMember()
		fenced.MemberID, fenced.InstanceID = "older", s.instance
		byInstance.InstanceID = s.instance
		nobody.MemberID = "nobody"
		req.Members = []kmsg.LeaveGroupRequestMember{fenced, byInstance, nobody}
		if err := w.c.LeaveGroup(context.Background(), req, resp); err != nil {
			t.Fatal(err)
		}
		want(t, "fenced", errOf(resp.Members[0].ErrorCode), kerr.FencedInstanceID)
		want(t, "by instance id", errOf(resp.Members[1].ErrorCode), nil)
		want(t, "nobody", errOf(resp.Members[2].ErrorCode), kerr.UnknownMemberID)
		w.wantState(PreparingRebalance, 1)
		req, resp = kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrLeaveGroupResponse()
		req.Version, req.Group, req.MemberID = 1, "g", a.id
		if err := w.c.LeaveGroup(context.Background(), req, resp); err != nil || resp.ErrorCode != 0 {
			t.Errorf("version 1: %v, %d", err, resp.ErrorCode)
		}
		w.wantState(Empty, 0)
	})
}

func TestAssignmentThatCannotBeStored(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		c := w.client()
		want(t, "join", c.join(), nil)
		w.p.Fail(shardtest.Refused)
		if err := second(c.sync()); err == nil {
			t.Error("sync succeeded although the append was refused")
		}
		w.wantState(PreparingRebalance, 1)
		want(t, "next round", c.enter(), nil)
	})
}

func TestWaitersHearOfAnotherCoordinator(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		joining := later(w.static("a").join)
		wantNone(t, "join", joining)
		w.p.Follow(2)
		wantAnswer(t, "join", joining, kerr.NotCoordinator)
		want(t, "heartbeat", w.client().heartbeat(), kerr.NotCoordinator)
	})
}

func TestClientThatGoesAwayWhileJoining(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		req, resp := kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrJoinGroupResponse()
		req.Version, req.Group, req.ProtocolType, req.SessionTimeoutMillis = 2, "g", "consumer", 10000
		req.RebalanceTimeoutMillis = 10000
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		done := make(chan error, 1)
		go func() { done <- w.c.JoinGroup(ctx, ClientInfo{}, req, resp) }()
		w.settle()
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("got %v", err)
		}
		time.Sleep(13 * time.Second) // initial delay and session
		w.settle()
		w.wantState(Empty, 0)
	})
}
