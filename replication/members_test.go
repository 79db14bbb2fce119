package replication

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log/vfs"
)

// What a peer sends as a group's members must not end the process.
func TestUnreadableMembersAreRefused(t *testing.T) {
	good := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "1", Address: "1"}}})
	for _, c := range []struct {
		name string
		data []byte
		want bool
	}{{"members", good, true}, {"nothing", nil, false}, {"half of them", good[:len(good)/2], false}, {"a number", []byte{7}, false}} {
		entries := []*raft.Log{{Type: raft.LogNoop}, {Type: raft.LogConfiguration, Data: c.data}}
		if err := checkMembers(entries); (err == nil) != c.want {
			t.Errorf("%s: %v, want accepted: %v", c.name, err, c.want)
		}
	}
}

// A node follows as an observer, is given a vote when it holds the log, and is
// taken off again; another leaves in its place. What was acked stays.
func TestMembersChangeUnderLoad(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		for range 20 {
			mustAppend(t, lead, Append{Batch: plainBatch(3), Acks: -1})
		}
		c.grow(t, 4)
		if err := lead.AddObserver(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, lead, Append{Batch: plainBatch(3), Acks: -1})
		time.Sleep(5 * time.Second)
		fourth := c.partition(4)
		if got, want := fourth.Leadership(), (Leadership{Leader: 1, Epoch: lead.Leadership().Epoch}); got != want || fourth.EndOffset() != 63 {
			t.Errorf("observer: %+v, log end %d; want %+v, 63", got, fourth.EndOffset(), want)
		}
		if got := lead.Observers(); len(got) != 1 || got[0] != 4 || len(lead.Voters()) != 3 {
			t.Errorf("observers %v, voters %v; want 4 beside three voters", got, lead.Voters())
		}
		for _, m := range lead.Members() {
			if m.EndOffset != 63 || m.Contact.IsZero() || time.Since(m.CaughtUp) > 5*time.Second {
				t.Errorf("member %+v, want one that is caught up at 63", m)
			}
		}
		if err := lead.AddVoter(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		if err := lead.RemoveMember(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		c.stop(3)
		c.isolate(2) // 1 and 4 are a majority of 1, 2 and 4
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		if err := lead.RemoveMember(t.Context(), 1); !errors.Is(err, ErrMembers) {
			t.Errorf("a leader that removes itself: %v, want ErrMembers", err)
		}
		if err := fourth.AddObserver(t.Context(), 5); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("a change asked of a follower: %v, want NOT_LEADER_OR_FOLLOWER", err)
		}
		c.heal()
		time.Sleep(5 * time.Second)
		if err := lead.Transfer(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := fourth.RemoveMember(t.Context(), 1); err != nil || !fourth.Leadership().Ready || fourth.EndOffset() != 64 {
			t.Errorf("the new leader removes the old: %v, %+v, log end %d", err, fourth.Leadership(), fourth.EndOffset())
		}
	})
}

// grow starts a node that is no member yet.
func (c *cluster) grow(t *testing.T, id int32) {
	t.Helper()
	c.members = append(c.members, id)
	c.mem[id] = vfs.NewMem()
	c.disk[id] = vfs.NewErr(c.mem[id])
	joined := c.spec
	joined.Joins = true
	if err := c.startWith(id, joined); err != nil {
		t.Fatal(err)
	}
}

// Who is alone takes an observer and a second voter, and goes back to one.
func TestOneNodeGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, Config{}, 1)
		if err := c.start(1); err != nil {
			t.Fatal(err)
		}
		defer func() {
			for _, id := range c.members {
				c.stop(id)
			}
		}()
		lead := c.partition(1)
		if err := lead.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, lead, Append{Batch: plainBatch(5), Acks: -1})
		c.grow(t, 2)
		for _, step := range []func(context.Context, int32) error{lead.AddObserver, lead.AddVoter} {
			if err := step(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		}
		time.Sleep(5 * time.Second)
		if second := c.partition(2); second.HighWatermark() != 7 {
			t.Errorf("high watermark of the second %d, want 7", second.HighWatermark())
		}
		if err := lead.RemoveMember(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		c.stop(2)
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
	})
}
