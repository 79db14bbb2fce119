package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/planted"
)

// consumerProtocol is the protocol type of consumers; only its metadata is understood.
const consumerProtocol = "consumer"

// A group is a classic group or, without protocol type and members, a mere
// holder of offsets. The view lock guards it; a turn moves it.
type group struct {
	id           string
	state        State
	previous     State // the state before this one
	stateSince   int64 // when state was entered, in ms of the Unix epoch; -1 is unknown
	generation   int32
	protocolType string  // "" for a group that never had members
	protocol     *string // the assignor all members agreed on; nil while Empty
	leader       string  // member id; "" for none

	members map[string]*member
	order   []string          // ids of members, oldest first: leadership passes in this order
	static  map[string]string // instance id -> member id
	joining int               // members with a waiting JoinGroup

	pendingJoin map[string]time.Time // ids given out by MEMBER_ID_REQUIRED -> when they are forgotten
	pendingSync map[string]struct{}  // members of this generation that have not sent SyncGroup

	// subscribed holds the topics of all members in this generation; nil when
	// the metadata does not say (another protocol type, or unreadable).
	subscribed map[string]struct{}

	rebalance    rebalanceTimer
	syncDeadline time.Time // when members in pendingSync are removed; zero is never
	newMember    bool      // a member joined during the initial delay, which is therefore prolonged
	wake         time.Time // no deadline of the group is earlier; zero when there is none
	armed        time.Time // when timer fires; zero when it is not set
	timer        *time.Timer

	stored bool // the log holds a GroupMetadataValue of this group
}

// A rebalanceTimer ends the join phase.
type rebalanceTimer struct {
	deadline  time.Time     // zero is never
	initial   bool          // group.initial.rebalance.delay.ms of a group that was empty
	delay     time.Duration // the initial delay that runs
	remaining time.Duration // how much longer the initial delay may grow
}

// newGroup returns an Empty group without a protocol type.
func newGroup(id string, stateSince int64) *group {
	return &group{
		id:          id,
		state:       Empty,
		previous:    Dead,
		stateSince:  stateSince,
		members:     map[string]*member{},
		static:      map[string]string{},
		pendingJoin: map[string]time.Time{},
		pendingSync: map[string]struct{}{},
	}
}

// move enters a state at a time in ms of the Unix epoch. An illegal move is our bug.
func (g *group) move(to State, nowMs int64) {
	if !g.state.mayEnter(to) {
		panic(fmt.Sprintf("group %q: illegal move from %v to %v", g.id, g.state, to))
	}
	g.previous, g.state, g.stateSince = g.state, to, nowMs
}

// each calls f for every member, oldest first. f may remove the member it is given.
func (g *group) each(f func(*member)) {
	for _, id := range slices.Clone(g.order) {
		if m := g.members[id]; m != nil {
			f(m)
		}
	}
}

// add puts a member into the group; the first one decides the protocol type
// and leads.
func (g *group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	if m.isStatic() {
		g.static[*m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members[m.id] = m
	g.order = append(g.order, m.id)
	if m.join != nil {
		g.joining++
	}
	delete(g.pendingJoin, m.id)
}

// remove takes a member or a pending member id out of the group. What the
// member still waits for is answered with UNKNOWN_MEMBER_ID.
func (g *group) remove(id string) {
	delete(g.pendingJoin, id)
	delete(g.pendingSync, id)
	m := g.members[id]
	if m == nil {
		return
	}
	g.answerJoin(m, joinRefused("", kerr.UnknownMemberID))
	m.answerSync(syncRefused(kerr.UnknownMemberID))
	delete(g.members, id)
	g.order = slices.DeleteFunc(g.order, func(o string) bool { return o == id })
	if m.isStatic() {
		delete(g.static, *m.instanceID)
	}
	if g.leader == id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

// replaceStatic gives a static member a new member id; whoever still uses the
// old one is fenced. Everything else about the member stays.
func (g *group) replaceStatic(m *member, id string) {
	fenced := joinRefused(m.id, kerr.FencedInstanceID)
	g.answerJoin(m, fenced)
	m.answerSync(syncRefused(kerr.FencedInstanceID))
	g.order[slices.Index(g.order, m.id)] = id
	delete(g.members, m.id)
	if _, ok := g.pendingSync[m.id]; ok {
		delete(g.pendingSync, m.id)
		g.pendingSync[id] = struct{}{}
	}
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.members[id] = m
	g.static[*m.instanceID] = id
}

// awaitJoin lets a member's JoinGroup wait. An older JoinGroup of the member,
// left behind by a lost connection, is told to come again.
func (g *group) awaitJoin(m *member, wait chan<- kmsg.JoinGroupResponse) {
	g.answerJoin(m, joinRefused(m.id, kerr.RebalanceInProgress))
	m.join = wait
	g.joining++
}

// answerJoin gives a waiting JoinGroup its answer, if one waits.
func (g *group) answerJoin(m *member, resp kmsg.JoinGroupResponse) bool {
	if m.join == nil {
		return false
	}
	m.join <- resp
	m.join = nil
	g.joining--
	return true
}

// allJoined says that every member waits in JoinGroup and no id given out is outstanding.
func (g *group) allJoined() bool { return len(g.members) == g.joining && len(g.pendingJoin) == 0 }

// rebalanceTimeout is the longest of the members.
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

// supportsAny says whether a joining member has a protocol that all present
// members support. Source: ClassicGroup.supportsProtocols.
func (g *group) supportsAny(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return g.allSupport(p.Name) })
}

// allSupport says that every member knows the protocol.
func (g *group) allSupport(protocol string) bool {
	for _, m := range g.members {
		if !m.supports(protocol) {
			return false
		}
	}
	return true
}

// selectProtocol counts one vote of each member, for the first of its protocols
// that all support. Among equals the oldest member's vote decides.
func (g *group) selectProtocol() string {
	votes := map[string]int{}
	best := ""
	g.each(func(m *member) {
		for _, p := range m.protocols {
			if g.allSupport(p.Name) {
				votes[p.Name]++
				break
			}
		}
	})
	g.each(func(m *member) {
		for _, p := range m.protocols {
			if votes[p.Name] > votes[best] {
				best = p.Name
			}
		}
	})
	return best
}

// electJoined makes sure that the leader waits in JoinGroup, passing the
// leadership on if need be. False if nobody does.
func (g *group) electJoined() bool {
	if m := g.members[g.leader]; m != nil && m.join != nil {
		return true
	}
	for _, id := range g.order {
		if g.members[id].join != nil {
			g.leader = id
			return true
		}
	}
	return false
}

// checkMember says whether a request comes from a present member.
//
// Errors: UnknownMemberID, FencedInstanceID (another member id has taken over
// the instance id). Source: ClassicGroup.validateMember.
func (g *group) checkMember(id string, instanceID *string) *kerr.Error {
	if instanceID != nil {
		current, ok := g.static[*instanceID]
		if !ok {
			return kerr.UnknownMemberID
		}
		if current != id && !planted.Is(planted.InstanceUnfenced) {
			return kerr.FencedInstanceID
		}
	}
	if g.members[id] == nil {
		return kerr.UnknownMemberID
	}
	return nil
}

// checkCommit says whether offsets may be committed. A transactional commit
// without member id is not tied to a member (KIP-447).
//
// Errors: UnknownMemberID, FencedInstanceID, IllegalGeneration,
// RebalanceInProgress. Source: ClassicGroup.validateOffsetCommit.
func (g *group) checkCommit(id string, instanceID *string, generation int32, transactional bool) *kerr.Error {
	if generation < 0 && g.state == Empty {
		return nil
	}
	switch {
	case generation >= 0 || id != "" || instanceID != nil:
		if err := g.checkMember(id, instanceID); err != nil {
			return err
		}
		if generation != g.generation && !planted.Is(planted.GenerationUnread) {
			return kerr.IllegalGeneration
		}
	case !transactional:
		return kerr.UnknownMemberID
	}
	if !transactional && g.state == CompletingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// checkSync says whether a SyncGroup fits the group's generation.
//
// Errors: UnknownMemberID, FencedInstanceID, IllegalGeneration,
// InconsistentGroupProtocol.
func (g *group) checkSync(req *kmsg.SyncGroupRequest) *kerr.Error {
	if err := g.checkMember(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	differs := func(asked *string, have string) bool { return asked != nil && have != "" && *asked != have }
	if differs(req.ProtocolType, g.protocolType) || g.protocol != nil && differs(req.Protocol, *g.protocol) {
		return kerr.InconsistentGroupProtocol
	}
	return nil
}

// checkDelete says whether the group may be deleted: only if nobody is in it.
func (g *group) checkDelete() *kerr.Error {
	switch g.state {
	case Dead:
		return kerr.GroupIDNotFound
	case Empty:
		return nil
	default:
		return kerr.NonEmptyGroup
	}
}

// checkOffsetDelete says whether single offsets may be deleted: in an active
// group only if its subscriptions can be read.
func (g *group) checkOffsetDelete() *kerr.Error {
	if g.state == Dead {
		return kerr.GroupIDNotFound
	}
	if g.state != Empty && g.protocolType != consumerProtocol {
		return kerr.NonEmptyGroup
	}
	return nil
}

// subscribes says whether a member consumes the topic, assuming so for
// consumers whose metadata cannot be read.
func (g *group) subscribes(topic string) bool {
	if g.subscribed == nil {
		return g.protocolType == consumerProtocol
	}
	_, ok := g.subscribed[topic]
	return ok
}

// subscriptions reads the topics of all members from the chosen protocol's
// metadata, nil if that cannot be done. Source: ClassicGroup.computeSubscribedTopics.
func (g *group) subscriptions() map[string]struct{} {
	if g.protocolType != consumerProtocol {
		return nil
	}
	topics := map[string]struct{}{}
	if len(g.members) == 0 {
		return topics
	}
	if g.protocol == nil {
		return nil
	}
	for _, m := range g.members {
		if !readSubscription(m.metadata(*g.protocol), topics) {
			return nil
		}
	}
	return topics
}

// readSubscription adds the topics of a ConsumerProtocolSubscription, whose
// versions all begin alike: version int16, topics [string].
func readSubscription(b []byte, topics map[string]struct{}) bool {
	if len(b) < 6 {
		return false
	}
	n := int(int32(binary.BigEndian.Uint32(b[2:])))
	b = b[6:]
	for range n {
		if len(b) < 2 {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if size < 0 || len(b) < 2+size {
			return false
		}
		topics[string(b[2:2+size])] = struct{}{}
		b = b[2+size:]
	}
	return true
}
