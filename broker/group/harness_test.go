package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// A world is a coordinator over one partition in memory, inside a bubble.
type world struct {
	t      *testing.T
	c      *Coordinator
	p      *shardtest.Partition
	topics *topics
	config Config
}

// bubble runs f with a fresh world in virtual time.
func bubble(t *testing.T, config Config, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, p: shardtest.New(), topics: newTopics(), config: config}
		w.config.Partitions = 1
		w.config.Topics = w.topics
		if w.config.Verify == nil {
			w.config.Verify = func(_ context.Context, req *kmsg.TxnOffsetCommitRequest, _ int32, guard func(int64) shard.Guard) (shard.Guard, error) {
				return guard(req.ProducerID), nil
			}
		}
		w.start()
		defer func() { w.c.Close() }()
		f(w)
	})
}

// start makes a coordinator for the partition; its log stays.
func (w *world) start() {
	w.t.Helper()
	c, err := New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Lead(0, w.p); err != nil {
		w.t.Fatal(err)
	}
	w.c = c
}

// restart closes the coordinator and replays the log into a new one.
func (w *world) restart() {
	w.t.Helper()
	w.c.Close()
	w.start()
}

// settle waits until every goroutine of the bubble is blocked.
func (w *world) settle() { synctest.Wait() }

// A topics is the metadata of a test: topic "orders" has three partitions.
type topics struct {
	mu   sync.Mutex
	ids  map[string][16]byte
	dead map[[16]byte]bool
}

func newTopics() *topics {
	return &topics{ids: map[string][16]byte{"orders": {1}, "other": {2}}, dead: map[[16]byte]bool{}}
}

func (t *topics) ByName(name string) ([16]byte, int32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.ids[name]
	return id, 3, ok
}

func (t *topics) ByID(id [16]byte) (string, int32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, have := range t.ids {
		if have == id {
			return name, 3, true
		}
	}
	return "", 0, false
}

func (t *topics) Deleted(id [16]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead[id]
}

// recreate deletes a topic and makes it again under the same name.
func (t *topics) recreate(name string, id [16]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead[t.ids[name]] = true
	t.ids[name] = id
}

// A client is one consumer as the broker sees it.
type client struct {
	w          *world
	version    int16 // of JoinGroup
	group      string
	id         string // member id
	instance   *string
	generation int32
	session    time.Duration
	rebalance  time.Duration
	protocols  []string // in order of preference
	topic      string   // subscribed
	leader     bool
	members    []string // as the leader was told
	skip       bool
	kind, name *string // protocol type and protocol, as a sync tells them; nil: none
}

func (w *world) client() *client {
	return &client{
		w: w, version: 9, group: "g", generation: -1, topic: "orders", protocols: []string{"range"},
		session: 10 * time.Second, rebalance: 30 * time.Second, kind: new("consumer"), name: new("range"),
	}
}

func (w *world) static(instance string) *client {
	c := w.client()
	c.instance = &instance
	return c
}

// subscription is a ConsumerProtocolSubscription v0.
func subscription(topic string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{topic}
	return m.AppendTo(nil)
}

// An answer is an error or nil for success, delivered later.
type answer <-chan *kerr.Error

// later runs f in a goroutine of the bubble.
func later(f func() *kerr.Error) answer {
	ch := make(chan *kerr.Error, 1)
	go func() { ch <- f() }()
	return ch
}

// errOf turns a code into an error.
func errOf(code int16) *kerr.Error {
	if code == 0 {
		return nil
	}
	return kerr.TypedErrorForCode(code)
}

// join sends JoinGroup as often as a client would: once more when it is given an id.
func (c *client) join() *kerr.Error {
	err := c.joinOnce()
	if err == kerr.MemberIDRequired {
		err = c.joinOnce()
	}
	return err
}

func (c *client) joinOnce() *kerr.Error {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.ProtocolType = c.version, c.group, c.id, c.instance, "consumer"
	req.SessionTimeoutMillis = int32(c.session.Milliseconds())
	req.RebalanceTimeoutMillis = int32(c.rebalance.Milliseconds())
	for _, name := range c.protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription(c.topic)
		req.Protocols = append(req.Protocols, p)
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Version = c.version
	if err := c.w.c.JoinGroup(context.Background(), ClientInfo{"app", "/10.0.0.1"}, req, resp); err != nil {
		c.w.t.Error(err)
	}
	if resp.Version != c.version {
		c.w.t.Errorf("version of the answer: %d", resp.Version)
	}
	if resp.MemberID != "" {
		c.id = resp.MemberID
	}
	if resp.ErrorCode == 0 {
		c.generation, c.leader, c.skip = resp.Generation, resp.LeaderID == c.id, resp.SkipAssignment
		c.name = resp.Protocol
		c.members = nil
		for _, m := range resp.Members {
			c.members = append(c.members, m.MemberID)
		}
	}
	return errOf(resp.ErrorCode)
}

// sync sends SyncGroup; a leader assigns each member its own id as bytes.
func (c *client) sync() (assignment string, err *kerr.Error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 5, c.group, c.id, c.instance, c.generation
	req.ProtocolType, req.Protocol = c.kind, c.name
	if c.leader && !c.skip {
		for _, id := range c.members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = id, []byte("for "+id)
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
	}
	resp := kmsg.NewPtrSyncGroupResponse()
	if err := c.w.c.SyncGroup(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	return string(resp.MemberAssignment), errOf(resp.ErrorCode)
}

// enter joins and syncs, and wants to succeed.
func (c *client) enter() *kerr.Error {
	if err := c.join(); err != nil {
		return err
	}
	got, err := c.sync()
	if err == nil && !c.skip && got != "for "+c.id {
		c.w.t.Errorf("assignment of %s: %q", c.id, got)
	}
	return err
}

func (c *client) heartbeat() *kerr.Error {
	req, resp := kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrHeartbeatResponse()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 4, c.group, c.id, c.instance, c.generation
	if err := c.w.c.Heartbeat(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	return errOf(resp.ErrorCode)
}

func (c *client) leave() *kerr.Error {
	req, resp := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrLeaveGroupResponse()
	req.Version, req.Group = 5, c.group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = c.id, c.instance
	req.Members = append(req.Members, m)
	if err := c.w.c.LeaveGroup(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	if resp.ErrorCode != 0 {
		return errOf(resp.ErrorCode)
	}
	return errOf(resp.Members[0].ErrorCode)
}

// commit commits one offset of orders.
func (c *client) commit(index int32, offset int64) *kerr.Error {
	req, resp := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetCommitResponse()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 9, c.group, c.id, c.instance, c.generation
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	t.Topic, p.Partition, p.Offset = "orders", index, offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	if err := c.w.c.OffsetCommit(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	return errOf(resp.Topics[0].Partitions[0].ErrorCode)
}

// commitInTxn commits one offset of orders in a producer's transaction.
func (c *client) commitInTxn(producerID int64, epoch int16, index int32, offset int64) *kerr.Error {
	return c.commitInTxnAt(5, producerID, epoch, index, offset)
}

// commitInTxnAt is commitInTxn in a version of TxnOffsetCommit.
func (c *client) commitInTxnAt(version int16, producerID int64, epoch int16, index int32, offset int64) *kerr.Error {
	req, resp := kmsg.NewPtrTxnOffsetCommitRequest(), kmsg.NewPtrTxnOffsetCommitResponse()
	req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = version, "tx", c.group, producerID, epoch
	req.MemberID, req.InstanceID, req.Generation = c.id, c.instance, c.generation
	t, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	t.Topic, p.Partition, p.Offset = "orders", index, offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	if err := c.w.c.TxnOffsetCommit(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	return errOf(resp.Topics[0].Partitions[0].ErrorCode)
}

// mark ends a producer's transaction, as the transaction coordinator does.
func (w *world) mark(producerID int64, epoch int16, commit bool) {
	w.p.Put(record.NewMarker(producerID, epoch, record.Control{Commit: commit}, time.Now().UnixMilli()))
}

// fetch is the committed offset of a partition of orders.
func (w *world) fetch(group string, index int32, stable bool) (int64, *kerr.Error) {
	w.t.Helper()
	req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
	req.Version, req.RequireStable = 9, stable
	g, t := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
	g.Group, t.Topic, t.Partitions = group, "orders", []int32{index}
	g.Topics = append(g.Topics, t)
	req.Groups = append(req.Groups, g)
	if err := w.c.OffsetFetch(context.Background(), req, resp); err != nil {
		w.t.Error(err)
	}
	if code := resp.Groups[0].ErrorCode; code != 0 {
		return 0, errOf(code)
	}
	p := resp.Groups[0].Topics[0].Partitions[0]
	return p.Offset, errOf(p.ErrorCode)
}

// wantFetch checks fetch.
func (w *world) wantFetch(group string, index int32, stable bool, offset int64, err *kerr.Error) {
	w.t.Helper()
	if got, gotErr := w.fetch(group, index, stable); got != offset || gotErr != err {
		w.t.Errorf("fetch %s/%d stable=%v: got %d, %v, want %d, %v", group, index, stable, got, gotErr, offset, err)
	}
}

// describe is the group's description, version 6.
func (w *world) describe(group string) kmsg.DescribeGroupsResponseGroup {
	req, resp := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDescribeGroupsResponse()
	req.Version, req.Groups = 6, []string{group}
	if err := w.c.DescribeGroups(context.Background(), req, resp); err != nil {
		w.t.Error(err)
	}
	return resp.Groups[0]
}

// wantState checks state and number of members of group g.
func (w *world) wantState(state State, members int) {
	w.t.Helper()
	g := w.describe("g")
	if g.State != state.String() || len(g.Members) != members {
		w.t.Errorf("group is %s with %d members, want %v with %d", g.State, len(g.Members), state, members)
	}
}

// want checks an error of the wire.
func want(t *testing.T, what string, got, want *kerr.Error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantAnswer waits for an answer and checks it.
func wantAnswer(t *testing.T, what string, a answer, wanted *kerr.Error) {
	t.Helper()
	want(t, what, <-a, wanted)
}

// wantNone checks that an answer has not come yet.
func wantNone(t *testing.T, what string, a answer) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-a:
		t.Errorf("%s: answered early: %v", what, err)
	default:
	}
}

// stable brings clients into one stable generation.
func (w *world) stable(clients ...*client) {
	w.t.Helper()
	answers := make([]answer, len(clients))
	for i, c := range clients {
		answers[i] = later(c.enter)
	}
	for i, a := range answers {
		wantAnswer(w.t, fmt.Sprintf("client %d enters", i), a, nil)
	}
}

// beat sends heartbeats of all clients once a second for a time, in order.
func beat(d time.Duration, clients ...*client) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		for _, c := range clients {
			c.heartbeat()
		}
	}
}
