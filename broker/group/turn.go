package group

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A turn is one step of one group at one moment, taken under the view lock. It
// answers who waits, sets deadlines, and returns what has to be appended, if
// anything; it neither blocks nor appends. Source: GroupMetadataManager's
// classic part.
type turn struct {
	*group
	config *Config
	now    time.Time
}

func (t turn) nowMs() int64 { return t.now.UnixMilli() }

// until notes a deadline, so that the group's timer does not come later.
func (t turn) until(deadline time.Time) {
	if t.wake.IsZero() || deadline.Before(t.wake) {
		t.wake = deadline
	}
}

// touch starts a member's session anew.
func (t turn) touch(m *member) { t.expect(m, m.sessionTimeout) }

// expect removes the member unless it is heard of in time.
func (t turn) expect(m *member, timeout time.Duration) {
	m.deadline = t.now.Add(timeout)
	t.until(m.deadline)
}

// rebalanceOrComplete reacts to a change of members: a new rebalance begins, or
// the one that runs may be over.
func (t turn) rebalanceOrComplete(reason string) *store {
	if t.state.mayEnter(PreparingRebalance) {
		return t.prepareRebalance(reason)
	}
	return t.maybeCompleteJoin()
}

// maybeCompleteJoin ends the join phase if everyone is there. The initial delay
// of a group that was empty is waited out all the same.
func (t turn) maybeCompleteJoin() *store {
	if t.state != PreparingRebalance || t.previous == Empty || !t.allJoined() {
		return nil
	}
	return t.completeJoin()
}

// prepareRebalance begins a rebalance: members learn of it by heartbeat and
// have the longest of their rebalance timeouts to join again.
func (t turn) prepareRebalance(reason string) *store {
	if t.state == CompletingRebalance {
		t.resetAssignment(kerr.RebalanceInProgress)
	}
	clear(t.pendingSync)
	t.syncDeadline = time.Time{}
	initial := t.state == Empty
	t.move(PreparingRebalance, t.nowMs())
	t.config.Logger.Info("group prepares a rebalance", "group", t.id, "generation", t.generation, "members", len(t.members), "reason", reason)
	switch {
	case initial:
		delay := t.config.InitialRebalanceDelay
		t.setRebalanceTimer(delay)
		t.rebalance.initial, t.rebalance.delay = true, delay
		t.rebalance.remaining = max(t.rebalanceTimeout()-delay, 0)
		return nil
	case t.allJoined():
		return t.completeJoin()
	default:
		t.setRebalanceTimer(t.rebalanceTimeout())
		return nil
	}
}

func (t turn) setRebalanceTimer(d time.Duration) {
	t.rebalance = rebalanceTimer{deadline: t.now.Add(d)}
	t.until(t.rebalance.deadline)
}

// completeJoin ends the join phase with those who came: dynamic members who did
// not are removed, static ones keep their place until their session ends.
func (t turn) completeJoin() *store {
	t.rebalance = rebalanceTimer{}
	t.each(func(m *member) {
		if m.join == nil && !m.isStatic() {
			t.config.Logger.Info("member removed: it did not join in time", "group", t.id, "member_id", m.id)
			t.remove(m.id)
		}
	})
	if len(t.members) > 0 && !t.electJoined() {
		// Only static members are left and none came. Kafka waits a further
		// rebalance timeout; at least a little, so that 0 does not spin.
		t.setRebalanceTimer(max(t.rebalanceTimeout(), 100*time.Millisecond))
		return nil
	}
	t.generation++
	clear(t.pendingSync)
	if len(t.members) == 0 {
		t.protocol = nil
		t.move(Empty, t.nowMs())
		t.subscribed = t.subscriptions()
		t.config.Logger.Info("group is empty", "group", t.id, "generation", t.generation)
		return &store{kind: storeEmpty, generation: t.generation}
	}
	t.protocol = new(t.selectProtocol())
	t.move(CompletingRebalance, t.nowMs())
	t.subscribed = t.subscriptions()
	t.config.Logger.Info("group generation begins", "group", t.id, "generation", t.generation,
		"members", len(t.members), "protocol", *t.protocol, "leader", t.leader)
	t.each(func(m *member) {
		t.answerJoin(m, t.joined(m))
		t.touch(m)
		m.isNew = false
		t.pendingSync[m.id] = struct{}{}
	})
	t.syncDeadline = t.now.Add(t.rebalanceTimeout())
	t.until(t.syncDeadline)
	return nil
}

// joined is the answer to a member of the current generation. The leader is
// told the members, from whose metadata it assigns.
func (t turn) joined(m *member) kmsg.JoinGroupResponse {
	resp := kmsg.NewJoinGroupResponse()
	resp.Generation = t.generation
	resp.ProtocolType = protocolTypeOf(t.protocolType)
	resp.Protocol = t.protocol
	resp.LeaderID = t.leader
	resp.MemberID = m.id
	if m.id == t.leader {
		resp.Members = t.memberList()
	}
	return resp
}

// protocolTypeOf is the nullable wire form.
func protocolTypeOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (t turn) memberList() []kmsg.JoinGroupResponseMember {
	list := make([]kmsg.JoinGroupResponseMember, 0, len(t.members))
	t.each(func(m *member) {
		e := kmsg.NewJoinGroupResponseMember()
		e.MemberID, e.InstanceID = m.id, m.instanceID
		e.ProtocolMetadata = m.metadata(*t.protocol)
		list = append(list, e)
	})
	return list
}

// resetAssignment tells everyone who waits for an assignment that none comes.
func (t turn) resetAssignment(err *kerr.Error) {
	t.each(func(m *member) {
		m.assignment = nil
		if m.answerSync(syncRefused(err)) {
			t.touch(m)
		}
	})
}

// assign hands out the leader's assignment: the generation is stable.
func (t turn) assign(assignment map[string][]byte) {
	t.each(func(m *member) {
		m.assignment = assignment[m.id]
		if m.answerSync(t.assigned(m)) {
			t.touch(m)
		}
	})
	t.move(Stable, t.nowMs())
}

// assigned is the answer to a SyncGroup in a stable generation.
func (t turn) assigned(m *member) kmsg.SyncGroupResponse {
	resp := kmsg.NewSyncGroupResponse()
	resp.ProtocolType = protocolTypeOf(t.protocolType)
	resp.Protocol = t.protocol
	resp.MemberAssignment = m.assignment
	return resp
}

// expire handles every deadline that has passed and computes the next wake.
func (t turn) expire() (last *store) {
	keep := func(s *store) {
		if s != nil {
			last = s
		}
	}
	due := func(deadline time.Time) bool { return !deadline.IsZero() && !deadline.After(t.now) }
	t.each(func(m *member) {
		if due(m.deadline) {
			keep(t.expireSession(m))
		}
	})
	for id, deadline := range t.pendingJoin {
		if due(deadline) {
			t.config.Logger.Info("pending member forgotten: it did not join in time", "group", t.id, "member_id", id)
			keep(t.forget(id))
		}
	}
	if due(t.syncDeadline) {
		keep(t.expireSync())
	}
	if due(t.rebalance.deadline) {
		keep(t.expireRebalance())
	}
	t.wake = time.Time{}
	next := func(deadline time.Time) {
		if !deadline.IsZero() {
			t.until(deadline)
		}
	}
	for _, m := range t.members {
		next(m.deadline)
	}
	for _, deadline := range t.pendingJoin {
		next(deadline)
	}
	next(t.syncDeadline)
	next(t.rebalance.deadline)
	return last
}

// expireSession removes a member that was not heard of.
func (t turn) expireSession(m *member) *store {
	if m.alive() {
		m.deadline = time.Time{} // its answer starts the session anew
		return nil
	}
	t.config.Logger.Info("member removed: its session expired", "group", t.id, "member_id", m.id, "session_timeout", m.sessionTimeout)
	t.remove(m.id)
	return t.afterRemoval("session of member " + m.id + " expired")
}

// afterRemoval goes on after a member left for good.
func (t turn) afterRemoval(reason string) *store {
	switch {
	case t.state == Stable || t.state == CompletingRebalance:
		return t.prepareRebalance(reason)
	case t.state == PreparingRebalance && t.allJoined():
		return t.completeJoin()
	default:
		return nil
	}
}

// forget drops a member id that was given out and never used.
func (t turn) forget(id string) *store {
	t.remove(id)
	if t.state == PreparingRebalance && t.allJoined() {
		return t.completeJoin()
	}
	return nil
}

// expireSync removes members that joined but did not send SyncGroup within the
// rebalance timeout (KAFKA-13337).
func (t turn) expireSync() *store {
	t.syncDeadline = time.Time{}
	if len(t.pendingSync) == 0 || t.state != CompletingRebalance && t.state != Stable {
		return nil
	}
	for id := range t.pendingSync {
		t.config.Logger.Info("member removed: it did not sync in time", "group", t.id, "member_id", id)
		t.remove(id)
	}
	return t.prepareRebalance("members did not sync in time")
}

// expireRebalance ends the join phase, or prolongs the initial delay while new
// members keep coming, up to the rebalance timeout.
func (t turn) expireRebalance() *store {
	r := t.rebalance
	if !r.initial || !t.newMember || r.remaining == 0 {
		return t.completeJoin()
	}
	t.newMember = false
	delay := min(t.config.InitialRebalanceDelay, r.remaining)
	t.setRebalanceTimer(delay)
	t.rebalance.initial, t.rebalance.delay = true, delay
	t.rebalance.remaining = max(r.remaining-r.delay, 0)
	return nil
}

// newMemberID makes an id no other member has: client or instance id and a UUID.
func newMemberID(prefix string) string {
	var u [16]byte
	rand.Read(u[:]) // never fails, by its contract
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", prefix, u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// cloneProtocols copies what a request holds only while it is handled.
func cloneProtocols(protocols []kmsg.JoinGroupRequestProtocol) []kmsg.JoinGroupRequestProtocol {
	protocols = slices.Clone(protocols)
	for i := range protocols {
		protocols[i].Metadata = bytes.Clone(protocols[i].Metadata)
	}
	return protocols
}

// logLeave is how a member's own goodbye is recorded (KIP-800).
func logLeave(logger *slog.Logger, group, memberID string, reason *string) {
	why := "not provided"
	if reason != nil {
		why = *reason
	}
	logger.Info("member left", "group", group, "member_id", memberID, "reason", why)
}
