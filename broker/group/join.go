package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxPendingJoin bounds the member ids that a group has given out and not seen again.
const maxPendingJoin = 10_000

// join handles a JoinGroup: it is answered through wait, now or at the end of
// the join phase.
func (t turn) join(req *kmsg.JoinGroupRequest, client ClientInfo, wait chan<- kmsg.JoinGroupResponse) *store {
	switch {
	case !t.accepts(req):
		t.remove(req.MemberID)
		wait <- joinRefused("", kerr.GroupMaxSizeReached)
	case !t.supportsAny(req.ProtocolType, req.Protocols):
		wait <- joinRefused(req.MemberID, kerr.InconsistentGroupProtocol)
	case req.MemberID == "":
		return t.joinUnknown(req, client, wait)
	default:
		return t.joinKnown(req, client, wait)
	}
	return nil
}

// accepts says whether the group has room. Source: GroupMetadataManager.acceptJoiningMember.
func (t turn) accepts(req *kmsg.JoinGroupRequest) bool {
	m := t.members[req.MemberID]
	held := metadataBytes(req.Protocols)
	for _, other := range t.members {
		if other != m {
			held += metadataBytes(other.protocols)
		}
	}
	if held > t.config.MaxMetadataSize {
		return false
	}
	if req.MemberID == "" && len(t.pendingJoin) >= min(t.config.MaxSize, maxPendingJoin) {
		return false
	}
	switch t.state {
	case PreparingRebalance:
		return m != nil && m.join != nil || t.joining < t.config.MaxSize
	case CompletingRebalance, Stable:
		return m != nil || len(t.members) < t.config.MaxSize
	default:
		return true
	}
}

// joinUnknown lets in who has no member id yet. From version 4 on a dynamic
// member is first given its id and asked to come again (KIP-394), so that one
// that never hears the answer leaves nothing behind.
func (t turn) joinUnknown(req *kmsg.JoinGroupRequest, client ClientInfo, wait chan<- kmsg.JoinGroupResponse) *store {
	if req.InstanceID != nil {
		id := newMemberID(*req.InstanceID)
		if old, ok := t.static[*req.InstanceID]; ok {
			return t.rejoinStatic(t.members[old], id, req, wait)
		}
		return t.addMember(id, req, client, wait)
	}
	id := newMemberID(client.ID)
	if req.Version < 4 {
		return t.addMember(id, req, client, wait)
	}
	deadline := t.now.Add(millis(req.SessionTimeoutMillis))
	t.pendingJoin[id] = deadline
	t.until(deadline)
	wait <- joinRefused(id, kerr.MemberIDRequired)
	return nil
}

// joinKnown handles who has a member id: one just given out, or a member.
func (t turn) joinKnown(req *kmsg.JoinGroupRequest, client ClientInfo, wait chan<- kmsg.JoinGroupResponse) *store {
	if _, ok := t.pendingJoin[req.MemberID]; ok && req.InstanceID == nil {
		return t.addMember(req.MemberID, req, client, wait)
	}
	if err := t.checkMember(req.MemberID, req.InstanceID); err != nil {
		wait <- joinRefused(req.MemberID, err)
		return nil
	}
	m := t.members[req.MemberID]
	switch {
	case t.state == Empty: // has no members, so checkMember has refused
		wait <- joinRefused(req.MemberID, kerr.UnknownMemberID)
		return nil
	case t.state == CompletingRebalance && m.matches(req.Protocols):
		wait <- t.joined(m) // the first answer was lost
		return nil
	case t.state == Stable && m.id != t.leader && m.matches(req.Protocols):
		resp := t.joined(m) // nothing changed: the generation goes on
		wait <- resp
		return nil
	}
	t.update(m, req, wait)
	return t.rebalanceOrComplete("member " + m.id + " joins again" + reasonOf(req))
}

// addMember takes a new member in.
func (t turn) addMember(id string, req *kmsg.JoinGroupRequest, client ClientInfo, wait chan<- kmsg.JoinGroupResponse) *store {
	m := &member{
		id:               id,
		instanceID:       req.InstanceID,
		clientID:         client.ID,
		clientHost:       client.Host,
		rebalanceTimeout: rebalanceTimeoutOf(req),
		sessionTimeout:   millis(req.SessionTimeoutMillis),
		protocols:        cloneProtocols(req.Protocols),
		isNew:            true,
		join:             wait,
	}
	if t.state == PreparingRebalance && t.previous == Empty {
		t.newMember = true
	}
	t.add(m, req.ProtocolType)
	t.expect(m, t.config.NewMemberJoinTimeout)
	return t.rebalanceOrComplete("member " + id + " joins" + reasonOf(req))
}

// update takes over what a member says of itself and lets its JoinGroup wait.
func (t turn) update(m *member, req *kmsg.JoinGroupRequest, wait chan<- kmsg.JoinGroupResponse) {
	m.protocols = cloneProtocols(req.Protocols)
	m.rebalanceTimeout = rebalanceTimeoutOf(req)
	m.sessionTimeout = millis(req.SessionTimeoutMillis)
	t.awaitJoin(m, wait)
}

// rejoinStatic lets a static member that lost its member id take its old place.
// If the group is stable and the choice of protocol stays, the generation goes
// on: only the new id is stored (KIP-345).
func (t turn) rejoinStatic(m *member, id string, req *kmsg.JoinGroupRequest, wait chan<- kmsg.JoinGroupResponse) *store {
	before := replacement{
		oldID: m.id, newID: id, oldLeader: t.leader, skipAssignment: req.Version >= 9,
		protocols: m.protocols, rebalanceTimeout: m.rebalanceTimeout, sessionTimeout: m.sessionTimeout,
	}
	t.config.Logger.Info("static member takes its place again", "group", t.id, "state", t.state,
		"instance_id", *m.instanceID, "old_member_id", m.id, "member_id", id)
	t.replaceStatic(m, id)
	t.touch(m)
	t.update(m, req, wait)
	switch t.state {
	case Stable:
		if t.selectProtocol() == *t.protocol {
			return &store{kind: storeReplaced, generation: t.generation, replaced: before}
		}
		return t.prepareRebalance("static member " + id + " changes the protocol" + reasonOf(req))
	case CompletingRebalance:
		return t.prepareRebalance("static member " + id + " joins again" + reasonOf(req))
	default:
		return t.maybeCompleteJoin()
	}
}

// reasonOf is the client's own reason (KIP-800).
func reasonOf(req *kmsg.JoinGroupRequest) string {
	if req.Reason == nil || *req.Reason == "" {
		return ""
	}
	return "; client reason: " + *req.Reason
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// rebalanceTimeoutOf is the session timeout in version 0, which has no other.
func rebalanceTimeoutOf(req *kmsg.JoinGroupRequest) time.Duration {
	if req.Version == 0 {
		return millis(req.SessionTimeoutMillis)
	}
	return max(millis(req.RebalanceTimeoutMillis), 0)
}
