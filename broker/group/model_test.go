package group

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// A modelled group is driven by random requests, deadlines and ends of appends,
// in any order, without a coordinator around it.
type modelled struct {
	*rapid.T
	g      *group
	config Config
	now    time.Time

	stores []*store // wanted by turns, not reported yet
	joins  []*joining
	syncs  []*syncing
	known  []identity // whoever was given a member id, most of them gone by now
}

type identity struct {
	id         string
	instance   *string
	generation int32
}

type joining struct {
	wait     chan kmsg.JoinGroupResponse
	instance *string
}

type syncing struct {
	wait       chan kmsg.SyncGroupResponse
	generation int32
}

func (m *modelled) turn() turn { return turn{m.g, &m.config, m.now} }

// did notes what a turn wants stored.
func (m *modelled) did(s *store) {
	if s != nil {
		m.stores = append(m.stores, s)
	}
}

// anyone is somebody who has been in the group, or a stranger.
func (m *modelled) anyone() identity {
	if len(m.known) == 0 || rapid.IntRange(0, 9).Draw(m.T, "stranger") == 0 {
		return identity{id: "stranger", generation: m.g.generation}
	}
	newest := len(m.known) - 1
	return m.known[rapid.IntRange(max(0, newest-8), newest).Draw(m.T, "who")]
}

func (m *modelled) join(*rapid.T) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = int16(rapid.SampledFrom([]int{2, 4, 8, 9}).Draw(m.T, "version"))
	req.Group, req.ProtocolType = "g", "consumer"
	req.SessionTimeoutMillis = int32(rapid.IntRange(1, 20).Draw(m.T, "session")) * 1000
	req.RebalanceTimeoutMillis = int32(rapid.IntRange(0, 20).Draw(m.T, "rebalance")) * 1000
	switch rapid.IntRange(0, 3).Draw(m.T, "as") {
	case 0: // a new member
	case 1: // a static one that lost its id, perhaps
		req.InstanceID = new(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(m.T, "instance"))
	default:
		who := m.anyone()
		req.MemberID, req.InstanceID = who.id, who.instance
	}
	for _, name := range rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}, {"sticky"}}).Draw(m.T, "protocols") {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscription("orders")})
	}
	j := &joining{make(chan kmsg.JoinGroupResponse, 1), req.InstanceID}
	m.joins = append(m.joins, j)
	m.did(m.turn().join(req, ClientInfo{ID: "c"}, j.wait))
}

func (m *modelled) sync(*rapid.T) {
	who := m.anyone()
	req := kmsg.NewPtrSyncGroupRequest()
	req.MemberID, req.InstanceID, req.Generation = who.id, who.instance, who.generation
	if who.id == m.g.leader {
		for id := range m.g.members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = id, fmt.Appendf(nil, "%d", who.generation)
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
	}
	s := &syncing{make(chan kmsg.SyncGroupResponse, 1), who.generation}
	m.syncs = append(m.syncs, s)
	m.did(m.turn().sync(req, s.wait))
}

func (m *modelled) heartbeat(*rapid.T) {
	who := m.anyone()
	req := kmsg.NewPtrHeartbeatRequest()
	req.MemberID, req.InstanceID, req.Generation = who.id, who.instance, who.generation
	_ = m.turn().heartbeat(req)
}

func (m *modelled) leave(*rapid.T) {
	who := m.anyone()
	asked := kmsg.NewLeaveGroupRequestMember()
	asked.MemberID, asked.InstanceID = who.id, who.instance
	if who.instance != nil && rapid.Bool().Draw(m.T, "by instance alone") {
		asked.MemberID = ""
	}
	_, s := m.turn().leave([]kmsg.LeaveGroupRequestMember{asked})
	m.did(s)
}

func (m *modelled) pass(*rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 8000).Draw(m.T, "ms")) * time.Millisecond)
	if !m.g.wake.IsZero() && !m.g.wake.After(m.now) {
		m.did(m.turn().expire())
	}
}

// appended reports any of the wanted appends, not the oldest first.
func (m *modelled) appended(*rapid.T) {
	if len(m.stores) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.stores)-1).Draw(m.T, "which")
	var err error
	if rapid.IntRange(0, 3).Draw(m.T, "fails") == 0 {
		err = errors.New("disk")
	}
	m.finish(i, err)
}

func (m *modelled) finish(i int, err error) {
	s := m.stores[i]
	m.stores = append(m.stores[:i], m.stores[i+1:]...)
	if !m.turn().stale(s) {
		m.turn().value(s)
	}
	m.did(m.turn().stored(s, err))
}

// check holds after every step.
func (m *modelled) check(*rapid.T) {
	m.collect()
	g := m.g
	waiting := 0
	for id, member := range g.members {
		if member.id != id || member.isStatic() && g.static[*member.instanceID] != id {
			m.Fatalf("member %q is filed wrongly", id)
		}
		if member.join != nil {
			waiting++
		}
		if member.deadline.IsZero() && !member.alive() {
			m.Fatalf("member %q waits for nothing and never expires", id)
		}
		m.noEarlier("session", member.deadline)
	}
	for id, deadline := range g.pendingJoin {
		if g.members[id] != nil {
			m.Fatalf("%q is pending and a member", id)
		}
		m.noEarlier("pending join", deadline)
	}
	m.noEarlier("sync", g.syncDeadline)
	m.noEarlier("rebalance", g.rebalance.deadline)
	for id := range g.pendingSync {
		if g.members[id] == nil {
			m.Fatalf("%q has to sync and is no member", id)
		}
	}
	switch {
	case waiting != g.joining:
		m.Fatalf("%d members wait in JoinGroup, counted %d", waiting, g.joining)
	case len(g.order) != len(g.members):
		m.Fatalf("%d members, %d in order", len(g.members), len(g.order))
	case (g.leader == "") != (len(g.members) == 0) || g.leader != "" && g.members[g.leader] == nil:
		m.Fatalf("leader %q of %d members", g.leader, len(g.members))
	case g.state == Empty && len(g.members) > 0:
		m.Fatalf("empty with %d members", len(g.members))
	case g.state == CompletingRebalance || g.state == Stable:
		if len(g.members) == 0 || g.protocol == nil || !g.allSupport(*g.protocol) {
			m.Fatalf("%v with %d members, protocol %v", g.state, len(g.members), g.protocol)
		}
	case g.state == PreparingRebalance && g.rebalance.deadline.IsZero():
		m.Fatalf("the join phase has no end")
	}
}

func (m *modelled) noEarlier(what string, deadline time.Time) {
	if !deadline.IsZero() && (m.g.wake.IsZero() || deadline.Before(m.g.wake)) {
		m.Fatalf("%s deadline %v comes before the timer at %v", what, deadline, m.g.wake)
	}
}

// collect takes the answers that have come.
func (m *modelled) collect() {
	var joins []*joining
	for _, j := range m.joins {
		select {
		case resp := <-j.wait:
			if resp.ErrorCode == 0 || resp.ErrorCode == kerr.MemberIDRequired.Code {
				m.known = append(m.known, identity{resp.MemberID, j.instance, resp.Generation})
			}
		default:
			joins = append(joins, j)
		}
	}
	m.joins = joins
	var syncs []*syncing
	for _, s := range m.syncs {
		select {
		case resp := <-s.wait:
			if got := string(resp.MemberAssignment); resp.ErrorCode == 0 && got != fmt.Sprint(s.generation) {
				m.Fatalf("generation %d was given assignment %q", s.generation, got)
			}
		default:
			syncs = append(syncs, s)
		}
	}
	m.syncs = syncs
}

func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		config, err := Config{Topics: newTopics(), MaxSize: 4, Logger: slog.New(slog.DiscardHandler)}.withDefaults()
		if err != nil {
			rt.Fatal(err)
		}
		m := &modelled{T: rt, g: newGroup("g", 0), config: config, now: time.UnixMilli(0)}
		rt.Repeat(map[string]func(*rapid.T){
			"join": m.join, "join again": m.join, "sync": m.sync, "sync again": m.sync, "heartbeat": m.heartbeat,
			"leave": m.leave, "pass": m.pass, "appended": m.appended, "": m.check,
		})
		// Everybody goes away: whoever waits is answered, and the group ends.
		for range 1000 {
			for len(m.stores) > 0 {
				m.finish(0, nil)
			}
			if m.g.wake.IsZero() {
				break
			}
			m.now = m.g.wake
			m.did(m.turn().expire())
			m.check(rt)
		}
		m.collect()
		if m.g.state != Empty || len(m.g.pendingJoin)+len(m.joins)+len(m.syncs) > 0 {
			rt.Fatalf("in the end %v, %d pending, %d joins and %d syncs unanswered", m.g.state, len(m.g.pendingJoin), len(m.joins), len(m.syncs))
		}
	})
}
