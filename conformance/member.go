package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionTimeout is the session timeout of members, in ms: Kafka's default
// range begins at 6 s.
const sessionTimeout = 10000

// A member is one member of a classic group, on a connection of its own: a
// join may wait for others.
type member struct {
	t          *T
	group      string
	id         string
	instance   *string
	generation int32
	topics     []string // that it subscribes to
	c          *conn
}

// newMember is a member that has not joined; an instance makes it static.
func (t *T) newMember(group, instance string) *member {
	m := &member{t: t, group: group, generation: -1}
	if instance != "" {
		m.instance = &instance
	}
	t.coordinate(groupCoordinator, group, func(node int32) int16 {
		m.c = t.dialNode(node)
		return codeNone
	})
	t.members = append(t.members, m)
	return m
}

// release makes members that a failed case left behind leave, so that their
// group can be deleted.
func (t *T) release(members []*member) {
	for _, m := range members {
		if m.id == "" {
			continue
		}
		gone := t.newMember(m.group, "")
		gone.id = m.id
		t.observe("clean up member "+m.id, codeName(gone.leave()))
	}
}

// joinRequest builds a JoinGroup at a version, negative for the newest.
func (m *member) joinRequest(version int16) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = m.t.newest(req, version)
	req.Group, req.MemberID, req.InstanceID = m.group, m.id, m.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = sessionTimeout, sessionTimeout
	req.ProtocolType = "consumer"
	for _, name := range []string{"range", "roundrobin"} {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription(name, m.topics)
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// subscription is a member's metadata as consumers write it: Kafka reads it.
func subscription(note string, topics []string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = topics
	m.UserData = []byte(note)
	return m.AppendTo(nil)
}

// identify gets a member id, as a dynamic member must before it joins
// (KIP-394).
func (m *member) identify() *member {
	if m.instance != nil {
		return m
	}
	m.id = m.firstJoin(-1).MemberID
	return m
}

// firstJoin sends one JoinGroup at a version, negative for the newest, again
// while the coordinator is not there yet.
func (m *member) firstJoin(version int16) (resp joinResponse) {
	m.t.settle("JoinGroup", isCoordinatorMoving, func() int16 {
		resp = askOn[joinResponse](m.t, m.c, m.joinRequest(version))
		return resp.ErrorCode
	})
	return resp
}

// startJoin sends a JoinGroup and returns what waits for its answer. A
// coordinator that is still loading is asked again.
func (m *member) startJoin() (joined func() *kmsg.JoinGroupResponse) {
	answer := send[*kmsg.JoinGroupResponse](m.t, m.c, m.joinRequest(-1))
	return func() *kmsg.JoinGroupResponse {
		var resp *kmsg.JoinGroupResponse
		code := m.t.settle("JoinGroup", isCoordinatorMoving, func() int16 {
			if resp == nil {
				resp = answer()
			} else {
				resp = askOn[*kmsg.JoinGroupResponse](m.t, m.c, m.joinRequest(-1))
			}
			return resp.ErrorCode
		})
		m.t.mustCode("JoinGroup "+m.id, code, codeNone)
		m.id, m.generation = resp.MemberID, resp.Generation
		return resp
	}
}

// join joins alone, or as the last of those the group waits for.
func (m *member) join() *kmsg.JoinGroupResponse { return m.startJoin()() }

// startSync sends a SyncGroup with assignments, for a leader, or none.
func (m *member) startSync(assignments map[string]string) (synced func() *kmsg.SyncGroupResponse) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version = m.t.newest(req, -1)
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	kind, name := "consumer", "range"
	req.ProtocolType, req.Protocol = &kind, &name
	for id, assignment := range assignments {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, []byte(assignment)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return send[*kmsg.SyncGroupResponse](m.t, m.c, req)
}

// sync waits for the answer of a SyncGroup.
func (m *member) sync(assignments map[string]string) *kmsg.SyncGroupResponse {
	return m.startSync(assignments)()
}

// alone joins and syncs the only member of a group.
func (m *member) alone() *member {
	m.identify().join()
	m.t.mustCode("SyncGroup", m.sync(map[string]string{m.id: "all"}).ErrorCode, codeNone)
	return m
}

// heartbeat asks once.
func (m *member) heartbeat() int16 {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = m.t.newest(req, -1)
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	return askOn[*kmsg.HeartbeatResponse](m.t, m.c, req).ErrorCode
}

// leave leaves by member id, and by instance for a static member.
func (m *member) leave() int16 {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version = m.t.newest(req, -1)
	req.Group, req.MemberID = m.group, m.id
	if req.Version >= 3 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID, one.InstanceID = m.id, m.instance
		req.Members = append(req.Members, one)
	}
	resp := askOn[*kmsg.LeaveGroupResponse](m.t, m.c, req)
	if resp.ErrorCode != codeNone || len(resp.Members) == 0 {
		return resp.ErrorCode
	}
	return resp.Members[0].ErrorCode
}

// pair makes a group of two members that have synced: the leader first.
func (t *T) pair(group string) (leader, follower *member) {
	leader, follower = t.newMember(group, "").alone(), t.newMember(group, "").identify()
	joined := follower.startJoin()
	t.until("the first member hears of the rebalance", func() (string, bool) {
		code := leader.heartbeat()
		return codeName(code), code == codeRebalanceInProgress
	})
	first := leader.join()
	second := joined()
	t.equal("one generation", fmt.Sprint(second.Generation), fmt.Sprint(first.Generation))
	if first.LeaderID != leader.id {
		leader, follower = follower, leader
	}
	waiting := follower.startSync(nil)
	mine := leader.sync(map[string]string{leader.id: "one", follower.id: "two"})
	t.mustCode("SyncGroup of the leader", mine.ErrorCode, codeNone)
	theirs := waiting()
	t.mustCode("SyncGroup of the follower", theirs.ErrorCode, codeNone)
	t.equal("assignments", string(mine.MemberAssignment)+" "+string(theirs.MemberAssignment), "one two")
	return leader, follower
}

// describeGroup asks for one group at a version, negative for the newest.
func (t *T) describeGroup(version int16, group string) kmsg.DescribeGroupsResponseGroup {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = t.newest(req, version)
	req.Groups = []string{group}
	var g kmsg.DescribeGroupsResponseGroup
	t.coordinate(groupCoordinator, group, func(node int32) int16 {
		resp := ask[*kmsg.DescribeGroupsResponse](t, node, req)
		if len(resp.Groups) != 1 {
			t.fatalf("DescribeGroups", "1 group", "%d groups", len(resp.Groups))
		}
		g = resp.Groups[0]
		return g.ErrorCode
	})
	return g
}

type joinResponse = *kmsg.JoinGroupResponse

// listed is the state of a group in ListGroups of all brokers, or "".
func (t *T) listed(group string) string {
	for _, node := range t.cluster.nodes() {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version = t.newest(req, -1)
		resp := ask[*kmsg.ListGroupsResponse](t, node, req)
		t.mustCode("ListGroups", resp.ErrorCode, codeNone)
		for _, g := range resp.Groups {
			if g.Group == group {
				return g.GroupState
			}
		}
	}
	return ""
}
