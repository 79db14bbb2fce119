package group

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// storeKind says which step waits for a GroupMetadataValue.
type storeKind int8

const (
	storeEmpty    storeKind = iota // the last member has gone; nobody waits
	storeAssigned                  // the leader's assignment; the generation becomes stable
	storeReplaced                  // a static member's new member id; its JoinGroup waits
)

// A store is a GroupMetadataValue that a turn wants in the log. The caller
// appends it once it has left the view lock, and reports by turn.stored. By then
// the group may have moved on: see turn.stale.
type store struct {
	kind       storeKind
	generation int32
	assignment map[string][]byte // storeAssigned: member id -> assignment
	replaced   replacement       // storeReplaced
}

// A replacement remembers a static member as it was, to undo it when the append fails.
type replacement struct {
	oldID, newID     string
	oldLeader        string
	skipAssignment   bool // the request's version knows SkipAssignment
	protocols        []kmsg.JoinGroupRequestProtocol
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
}

// stale says that the group has moved on, so s must not be written: a later
// generation stores itself.
func (t turn) stale(s *store) bool {
	if t.generation != s.generation {
		return true
	}
	switch s.kind {
	case storeEmpty:
		return t.state != Empty
	case storeAssigned:
		return t.state != CompletingRebalance
	default:
		return t.state != Stable || t.members[s.replaced.newID] == nil
	}
}

// value is the durable part of the group as s wants it.
func (t turn) value(s *store) kmsg.GroupMetadataValue {
	v := kmsg.NewGroupMetadataValue()
	v.Version = groupMetadataValueVersion
	v.ProtocolType = t.protocolType
	v.Generation = t.generation
	v.Protocol = t.protocol
	if t.leader != "" {
		v.Leader = &t.leader
	}
	v.CurrentStateTimestamp = t.stateSince
	t.each(func(m *member) {
		e := kmsg.NewGroupMetadataValueMember()
		e.MemberID, e.InstanceID = m.id, m.instanceID
		e.ClientID, e.ClientHost = m.clientID, m.clientHost
		e.RebalanceTimeoutMillis = int32(m.rebalanceTimeout.Milliseconds())
		e.SessionTimeoutMillis = int32(m.sessionTimeout.Milliseconds())
		e.Subscription = m.metadata(*t.protocol)
		e.Assignment = m.assignment
		if s.kind == storeAssigned {
			e.Assignment = s.assignment[m.id]
		}
		v.Members = append(v.Members, e)
	})
	return v
}

// stored goes on after the append of s succeeded or failed.
func (t turn) stored(s *store, err error) *store {
	if t.stale(s) {
		return nil
	}
	switch {
	case s.kind == storeAssigned && err == nil:
		t.assign(s.assignment)
	case s.kind == storeAssigned:
		t.resetAssignment(appendError(err))
		return t.prepareRebalance("the assignment could not be stored")
	case s.kind == storeReplaced && err == nil:
		t.answerReplaced(s.replaced)
	case s.kind == storeReplaced:
		t.undoReplaced(s.replaced, appendError(err))
	}
	return nil
}

// answerReplaced lets the static member go on in the current generation. A
// leader that cannot be told to skip the assignment is not told that it leads:
// it would send an assignment made for nothing (KIP-814).
func (t turn) answerReplaced(r replacement) {
	m := t.members[r.newID]
	resp := t.joined(m)
	resp.SkipAssignment = r.skipAssignment && m.id == t.leader
	if !r.skipAssignment {
		resp.LeaderID, resp.Members = r.oldLeader, nil
	}
	if t.answerJoin(m, resp) {
		t.touch(m)
	}
}

// undoReplaced gives the place back to the old member id.
func (t turn) undoReplaced(r replacement, err *kerr.Error) {
	m := t.members[r.newID]
	t.answerJoin(m, joinRefused("", err))
	m.protocols, m.rebalanceTimeout, m.sessionTimeout = r.protocols, r.rebalanceTimeout, r.sessionTimeout
	t.replaceStatic(m, r.oldID)
	t.touch(m)
}

// sync handles a SyncGroup. The leader's carries the assignment of everyone.
func (t turn) sync(req *kmsg.SyncGroupRequest, wait chan<- kmsg.SyncGroupResponse) *store {
	if err := t.checkSync(req); err != nil {
		wait <- syncRefused(err)
		return nil
	}
	m := t.members[req.MemberID]
	switch t.state {
	case CompletingRebalance:
		m.answerSync(syncRefused(kerr.RebalanceInProgress)) // left behind by a lost connection
		m.sync = wait
		t.synced(m.id)
		if m.id != t.leader {
			return nil
		}
		s := &store{kind: storeAssigned, generation: t.generation, assignment: map[string][]byte{}}
		for _, a := range req.GroupAssignment {
			if t.members[a.MemberID] != nil {
				s.assignment[a.MemberID] = bytes.Clone(a.MemberAssignment)
			}
		}
		return s
	case Stable:
		t.synced(m.id)
		wait <- t.assigned(m)
	default:
		wait <- syncRefused(kerr.RebalanceInProgress)
	}
	return nil
}

// synced notes that a member sent its SyncGroup of this generation.
func (t turn) synced(id string) {
	delete(t.pendingSync, id)
	if len(t.pendingSync) == 0 {
		t.syncDeadline = time.Time{}
	}
}

// heartbeat keeps a member's session and tells it of a rebalance.
//
// Errors: UnknownMemberID, FencedInstanceID, IllegalGeneration, RebalanceInProgress.
func (t turn) heartbeat(req *kmsg.HeartbeatRequest) *kerr.Error {
	if err := t.checkMember(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != t.generation {
		return kerr.IllegalGeneration
	}
	t.touch(t.members[req.MemberID])
	if t.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// leave removes those of the given members that exist and returns an answer
// for each. A static member may be named by its instance id alone (KIP-345).
func (t turn) leave(members []kmsg.LeaveGroupRequestMember) ([]kmsg.LeaveGroupResponseMember, *store) {
	answers := make([]kmsg.LeaveGroupResponseMember, 0, len(members))
	left := false
	for _, asked := range members {
		answer := kmsg.NewLeaveGroupResponseMember()
		answer.MemberID, answer.InstanceID = asked.MemberID, asked.InstanceID
		if id, err := t.leaving(asked); err != nil {
			answer.ErrorCode = err.Code
		} else {
			logLeave(t.config.Logger, t.id, id, asked.Reason)
			t.remove(id)
			left = true
		}
		answers = append(answers, answer)
	}
	if !left || t.state == Empty {
		return answers, nil
	}
	return answers, t.rebalanceOrComplete("members left")
}

// leaving is the id of the member, pending or not, that is asked to leave.
func (t turn) leaving(asked kmsg.LeaveGroupRequestMember) (string, *kerr.Error) {
	if asked.MemberID == "" {
		if asked.InstanceID != nil {
			if id, ok := t.static[*asked.InstanceID]; ok {
				return id, nil
			}
		}
		return "", kerr.UnknownMemberID
	}
	if _, ok := t.pendingJoin[asked.MemberID]; ok {
		return asked.MemberID, nil
	}
	return asked.MemberID, t.checkMember(asked.MemberID, asked.InstanceID)
}
