package replication

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Each step towards other voters, and in which order they come.
func TestNextMemberStep(t *testing.T) {
	now := time.Now()
	voter := func(node int32) Member { return Member{Node: node, Voter: true, CaughtUp: now} }
	behind := func(node int32) Member { return Member{Node: node, CaughtUp: now.Add(-time.Minute)} }
	near := func(node int32) Member { return Member{Node: node, CaughtUp: now} }
	for _, c := range []struct {
		name    string
		members []Member
		want    []int32
		step    memberStep
		node    int32
	}{
		{"nothing is to do", []Member{voter(1), voter(2), voter(3)}, []int32{3, 2, 1}, membersDone, -1},
		{"a new replica follows first", []Member{voter(1), voter(2), voter(3)}, []int32{1, 2, 4}, membersObserve, 4},
		{"all new replicas follow before any is waited for", []Member{voter(1), voter(2), voter(3), behind(4)}, []int32{4, 5, 1}, membersObserve, 5},
		{"who is behind gets no vote", []Member{voter(1), voter(2), voter(3), behind(4)}, []int32{1, 2, 4}, membersWait, -1},
		{"who was never heard gets no vote", []Member{voter(1), {Node: 2}}, []int32{1, 2}, membersWait, -1},
		{"who is caught up gets a vote", []Member{voter(1), voter(2), voter(3), behind(5), near(4)}, []int32{5, 4, 1}, membersPromote, 4},
		{"of four voters one goes while others are to come", []Member{voter(1), voter(2), voter(3), voter(4), near(5)}, []int32{4, 5, 6}, membersObserve, 6},
		{"an even number shrinks", []Member{voter(1), voter(2), voter(3), voter(4), behind(5), behind(6)}, []int32{4, 5, 6}, membersRemove, 2},
		{"an odd number waits for the new", []Member{voter(1), voter(2), voter(3), behind(4)}, []int32{4}, membersWait, -1},
		{"no vote is taken without need", []Member{voter(1), voter(2), behind(3), behind(4)}, []int32{3, 4}, membersWait, -1},
		{"the rest goes when all votes are given", []Member{voter(1), voter(2), voter(3), voter(4)}, []int32{1, 2, 4}, membersRemove, 3},
		{"an observer that is not wanted goes first", []Member{voter(1), voter(2), near(4)}, []int32{1, 2}, membersRemove, 4},
		{"the leader goes last", []Member{voter(1), voter(2), voter(3)}, []int32{2}, membersRemove, 3},
		{"the leader hands over before it goes", []Member{voter(1), voter(2)}, []int32{2}, membersYield, 2},
		{"the leader hands over to who is caught up", []Member{voter(1), {Node: 2, Voter: true}, voter(3)}, []int32{2, 3}, membersYield, 3},
		{"the leader stays while nobody can take over", []Member{voter(1), {Node: 2, Voter: true}}, []int32{2}, membersWait, -1},
	} {
		if step, node := nextMemberStep(c.members, c.want, 1, now); step != c.step || node != c.node {
			t.Errorf("%s: step %d for node %d, want step %d for node %d", c.name, step, node, c.step, c.node)
		}
	}
}

// All voters are replaced, the leader among them, while an idempotent producer
// writes. What it was told is there, once and in order.
func TestVotersAreReplacedUnderLoad(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, _ *Partition) {
		for _, id := range []int32{4, 5, 6} {
			c.grow(t, id)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		var offsets []int64
		go func() {
			defer close(stopped)
			for sequence := int32(0); ; sequence++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // else no time would pass
				}
				offsets = append(offsets, c.insist(t, sequence))
			}
		}()
		moves := [][]int32{{4, 5, 6}, {6, 1, 2}, {3}, {3, 4, 5, 6, 1}, {2, 4}, {1, 2, 3}}
		for _, want := range moves {
			c.move(t, want)
		}
		close(stop)
		<-stopped
		for i, offset := range offsets {
			if offset != int64(i) {
				t.Fatalf("batch %d was acknowledged at offset %d", i, offset)
			}
		}
		if len(offsets) < 10*len(moves) {
			t.Errorf("%d batches during %d moves: too few to mean anything", len(offsets), len(moves))
		}
		time.Sleep(5 * time.Second)
		for _, id := range []int32{1, 2, 3} {
			if got := c.partition(id).HighWatermark(); got != int64(len(offsets)) {
				t.Errorf("node %d: high watermark %d, want %d", id, got, len(offsets))
			}
		}
	})
}

// insist appends one batch of an idempotent producer as a client does: again and
// again, wherever the leader is.
func (c *cluster) insist(t *testing.T, sequence int32) int64 {
	for {
		if lead := c.leader(); lead != nil {
			got, err := lead.Append(within(time.Second), Append{Batch: batchOf(7, 0, sequence, 1), Acks: -1})
			if err == nil {
				return got.BaseOffset
			}
			if !kerr.IsRetriable(kindOf(err)) {
				t.Errorf("batch %d: %v", sequence, err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func kindOf(err error) error {
	var kind *kerr.Error
	errors.As(err, &kind)
	return kind
}

// move has the leader of the moment bring the group to other voters until they are.
// Replicas that go are removed, and those that come open an empty log.
func (c *cluster) move(t *testing.T, want []int32) {
	t.Helper()
	for _, id := range want {
		if c.partition(id) == nil {
			joined := c.spec
			joined.Joins = true
			if _, err := c.nodes[id].OpenPartition(t.Context(), joined); err != nil {
				t.Fatal(err)
			}
		}
	}
	var lead *Partition
	for range 1000 {
		time.Sleep(20 * time.Millisecond)
		if lead = c.leader(); lead == nil {
			continue
		}
		err := lead.SetVoters(within(time.Second), want)
		if err == nil {
			break
		}
		t.Log(want, err)
	}
	got := lead.Voters()
	slices.Sort(got)
	wanted := slices.Sorted(slices.Values(want))
	if !slices.Equal(got, wanted) || len(lead.Observers()) > 0 || !slices.Contains(want, lead.Leadership().Leader) {
		t.Fatalf("voters %v, observers %v, leader %d; want voters %v", got, lead.Observers(), lead.Leadership().Leader, want)
	}
	for _, id := range c.members {
		if p := c.partition(id); p != nil && !slices.Contains(want, id) {
			if err := c.nodes[id].DeletePartition(context.Background(), c.spec.ID); err != nil {
				t.Fatal(err)
			}
			if entries, err := c.mem[id].ReadDir("data"); err != nil || len(entries) != 1 {
				t.Errorf("node %d: %d files, %v, after its replica went; want the slot file alone", id, len(entries), err)
			}
		}
	}
}

// hard-29: a replica that was removed and comes back with an empty log would vote
// for anybody. It must not make a leader of one that has heard of nothing since.
func TestNewcomerGivesNoVoteToAStaleVoter(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		time.Sleep(5 * time.Second)
		c.isolate(3)
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1}) // on 1 and 2
		if err := c.nodes[2].DeletePartition(t.Context(), c.spec.ID); err != nil {
			t.Fatal(err)
		}
		c.heal()
		c.isolate(1)
		joined := c.spec
		joined.Joins = true
		if _, err := c.nodes[2].OpenPartition(t.Context(), joined); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c.kick(3)
			time.Sleep(30 * time.Second)
		}
		if stale := c.partition(3); stale.Leadership().Ready {
			t.Fatalf("node 3 leads in epoch %d with log end %d; the record at offset 1 was acknowledged", stale.Leadership().Epoch, stale.EndOffset())
		}
		c.heal()
		c.elect(1)
		time.Sleep(30 * time.Second)
		if second := c.partition(2); second.group.Load().transport.newcomer.Load() || second.HighWatermark() != 2 {
			t.Errorf("node 2 was brought up to %d and still gives no vote", second.HighWatermark())
		}
	})
}

// A newcomer that starts again in the middle is still one.
func TestNewcomerByItsLog(t *testing.T) {
	server := func(id raft.ServerID, s raft.ServerSuffrage) raft.Server { return raft.Server{ID: id, Suffrage: s} }
	for _, c := range []struct {
		name    string
		servers []raft.Server
		want    bool
	}{
		{"nothing known", nil, true},
		{"an observer", []raft.Server{server("1", raft.Voter), server("2", raft.Nonvoter)}, true},
		{"a voter", []raft.Server{server("1", raft.Voter), server("2", raft.Voter)}, false},
		{"taken off", []raft.Server{server("1", raft.Voter)}, true},
	} {
		if got := newcomer(raft.Configuration{Servers: c.servers}, 2); got != c.want {
			t.Errorf("%s: newcomer %v, want %v", c.name, got, c.want)
		}
	}
}
