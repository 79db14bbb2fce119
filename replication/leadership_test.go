package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/twmb/franz-go/pkg/kerr"
)

// inCluster runs a test in a bubble with three nodes of which 1 leads.
func inCluster(t *testing.T, test func(t *testing.T, c *cluster, lead *Partition)) {
	t.Helper()
	inClusterWith(t, Config{}, test)
}

func inClusterWith(t *testing.T, cfg Config, test func(t *testing.T, c *cluster, lead *Partition)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, cfg, 1, 2, 3)
		for _, id := range c.members {
			if err := c.start(id); err != nil {
				t.Fatal(err)
			}
		}
		defer func() {
			c.heal()
			for _, id := range c.members {
				c.stop(id)
			}
		}()
		lead := c.partition(1)
		c.elect(1)
		test(t, c, lead)
	})
}

// elect makes a node the leader and lets the others catch up. A node that is
// a candidate already ignores a kick until its election timer fires.
func (c *cluster) elect(id int32) {
	for range 20 {
		c.kick(id)
		time.Sleep(30 * time.Second)
		if c.partition(id).Leadership().Ready {
			return
		}
	}
	c.t.Fatalf("node %d does not become leader", id)
}

// isolate cuts a node off from the others.
func (c *cluster) isolate(id int32) {
	for _, other := range c.members {
		c.setCut(id, other, true)
		c.setCut(other, id, true)
	}
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func mustAppend(t *testing.T, p *Partition, a Append) Appended {
	t.Helper()
	got, err := p.Append(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFollowersLearnTheLeaderAndTheHighWatermark(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: plainBatch(3), Acks: -1})
		time.Sleep(5 * time.Second)
		for _, id := range c.members[1:] {
			p := c.partition(id)
			if l, want := p.Leadership(), (Leadership{Leader: 1, Epoch: lead.Leadership().Epoch}); l != want {
				t.Errorf("node %d: %+v, want %+v", id, l, want)
			}
			if p.HighWatermark() != 3 {
				t.Errorf("node %d: high watermark %d, want 3", id, p.HighWatermark())
			}
			if _, err := p.Append(t.Context(), Append{Batch: plainBatch(1)}); !errors.Is(err, kerr.NotLeaderForPartition) {
				t.Errorf("append on a follower: %v", err)
			}
		}
	})
}

// A deposed leader may still send, in its own term, what its successor has put in
// its log. A follower that has not stored that newer term stores none of it.
func TestEntriesNewerThanTheirLeaderAreRefused(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		time.Sleep(5 * time.Second)
		p := c.partition(2)
		g := p.group.Load()
		last, term := p.Log().LastIndex(), g.raft.CurrentTerm()
		request := &raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(1)), Addr: []byte(serverAddress(1))},
			Term:      term, PrevLogEntry: last, PrevLogTerm: p.Log().LastTerm(),
			Entries: []*raft.Log{{Index: last + 1, Term: term + 1, Type: raft.LogNoop}},
		}
		if _, err := g.transport.receive(request)(t.Context()); err == nil || !strings.Contains(err.Error(), "the leader that sends it") {
			t.Errorf("answered with %v, want a refusal", err)
		}
		if p.Log().LastIndex() != last {
			t.Errorf("log ends at index %d, want %d", p.Log().LastIndex(), last)
		}
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
	})
}

// hard-04: a duplicate waits like the original. Here the original was stored
// with acks=1 by a leader without followers.
func TestHard04DuplicateWaitsForItsOriginal(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(1)
		first := mustAppend(t, lead, Append{Batch: batchOf(1, 0, 0, 1), Acks: 1})
		again := mustAppend(t, lead, Append{Batch: batchOf(1, 0, 0, 1), Acks: 1})
		if !again.Duplicate || again.BaseOffset != first.BaseOffset {
			t.Errorf("acks=1 duplicate of a stored batch: %+v, want that of %+v", again, first)
		}
		if _, err := lead.Append(within(time.Second), Append{Batch: batchOf(1, 0, 0, 1), Acks: -1}); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("acks=all duplicate of an uncommitted batch: %v, want REQUEST_TIMED_OUT", err)
		}
		answered := make(chan error)
		go func() {
			_, err := lead.Append(context.Background(), Append{Batch: batchOf(1, 0, 0, 1), Acks: -1})
			answered <- err
		}()
		time.Sleep(100 * time.Millisecond)
		c.kick(2)
		time.Sleep(time.Second)
		c.heal() // the batch is truncated
		if err := <-answered; !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("duplicate of a truncated batch: %v, want NOT_LEADER_OR_FOLLOWER", err)
		}
	})
}

// Promise 20: what a leader without followers is asked to commit is never acked.
func TestDeposedLeaderAcksNothing(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(1)
		answers := make(chan error)
		for range 3 {
			go func() {
				_, err := lead.Append(context.Background(), Append{Batch: plainBatch(1), Acks: -1})
				answers <- err
			}()
		}
		for range 3 { // the lease ends after 6 s
			err := <-answers
			if !errors.Is(err, kerr.NotLeaderForPartition) || errors.Is(err, ErrRefused) {
				t.Errorf("append on a cut-off leader: %v, want an ambiguous NOT_LEADER_OR_FOLLOWER", err)
			}
		}
	})
}

// hard-24: a node that answers again after a silence may have elected another
// leader meanwhile. Pings do not say so; the group's own appends do.
func TestHard24SilenceIsOverWhenTheGroupAgrees(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		if lead.Fenced() {
			t.Fatal("a leader that is well is fenced")
		}
		c.isolate(1)
		time.Sleep(time.Second)
		c.resume(1)
		if !lead.Fenced() {
			t.Error("nodes answer, and whether they have this leader still is not known")
		}
		time.Sleep(3 * time.Second) // longer than raft is silent
		if !lead.Fenced() {
			t.Error("time alone lifts the fence")
		}
		c.heal()
		lead.Fenced() // which has the followers asked
		time.Sleep(100 * time.Millisecond)
		if lead.Fenced() {
			t.Error("the followers had no other leader, and the fence stays")
		}
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: 1})
	})
}

func TestHard24ADeposedLeaderStaysFencedWhenNodesAnswerAgain(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(1)
		c.kick(2)
		time.Sleep(2 * time.Second)
		if l := c.partition(2).Leadership(); l.Leader != 2 {
			t.Fatalf("leadership %+v, want another leader", l)
		}
		c.resume(1)
		c.heal()
		for range 100 {
			if !lead.Fenced() && lead.Leadership().Ready {
				t.Fatal("a leader that was replaced is not fenced")
			}
			time.Sleep(time.Millisecond)
		}
		_, err := lead.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1})
		if err == nil {
			t.Error("a leader that was replaced stored a record")
		}
	})
}

// resume lets a node hear the others again as far as pings go.
func (c *cluster) resume(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.members {
		c.resumed[[2]int32{id, other}] = time.Now()
	}
}

// hard-30 and section 4: a leader is ready once an entry of its term is
// committed, and its epoch is that term.
func TestHard30LeaderIsReadyOnlyAfterItsOwnEntry(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		epoch := lead.Leadership().Epoch
		c.isolate(1)
		c.kick(1) // wins nothing: it stands for election without voters
		time.Sleep(time.Second)
		if l := lead.Leadership(); l.Ready || l.Epoch != epoch {
			t.Errorf("a candidate shows %+v, want epoch %d and not ready", l, epoch)
		}
		c.heal()
		c.elect(1)
		if l := lead.Leadership(); l.Epoch <= epoch || l.Epoch != int32(lead.group.Load().raft.CurrentTerm()) {
			t.Errorf("leadership %+v in term %d", l, lead.group.Load().raft.CurrentTerm())
		}
	})
}

// hard-18 relies on this: a record decided in one epoch is not stored in another.
func TestAppendIsBoundToItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, Config{}, 1)
		if err := c.start(1); err != nil {
			t.Fatal(err)
		}
		defer c.stop(1)
		p := c.partition(1)
		if err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		epoch := p.Leadership().Epoch
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1, Epoch: epoch})
		c.kick(1)
		synctest.Wait()
		if err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: -1, Epoch: epoch})
		if !errors.Is(err, kerr.NotLeaderForPartition) || !errors.Is(err, ErrRefused) || p.EndOffset() != 1 {
			t.Errorf("append of epoch %d in epoch %d: %v, log end %d", epoch, p.Leadership().Epoch, err, p.EndOffset())
		}
	})
}

// hard-03: a transfer parks appends, and the new leader has all of them.
func TestHard03TransferParksAppends(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.delay.Store(500)
		var offsets []int64
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				to := c.leader()
				if to == nil {
					time.Sleep(time.Millisecond)
					continue
				}
				got, err := to.Append(t.Context(), Append{Batch: batchOf(1, 0, int32(len(offsets)), 1), Acks: -1})
				if err == nil {
					offsets = append(offsets, got.BaseOffset)
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		if err := lead.Transfer(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if err := c.partition(2).WaitReady(within(time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		close(stop)
		<-done
		for i, at := range offsets {
			if at != int64(i) {
				t.Fatalf("batch %d is at offset %d", i, at)
			}
		}
		if len(offsets) < 50 {
			t.Errorf("only %d batches in 200 ms around a transfer", len(offsets))
		}
	})
}

func TestHard03TransferToAStragglerFails(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(3)
		for range 2 * transferLag {
			mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		}
		if err := lead.Transfer(t.Context(), 3); err == nil {
			t.Error("the leadership went to a replica that lacks entries")
		}
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
	})
}

// hard-32: min.insync.replicas above the majority waits for more voters.
func TestHard32MinInSyncAboveTheMajority(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1, MinInSync: 7}) // more than there are
		c.isolate(3)
		mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1, MinInSync: 2})
		if _, err := lead.Append(within(time.Second), Append{Batch: plainBatch(1), Acks: -1, MinInSync: 3}); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("one of three missing: %v, want REQUEST_TIMED_OUT", err)
		}
		if lead.HighWatermark() != 3 {
			t.Errorf("high watermark %d, want 3: it is the commit", lead.HighWatermark())
		}
		mustAppend(t, lead, Append{Batch: batchOf(1, 0, 0, 1), Acks: 1})
		if _, err := lead.Append(within(time.Second), Append{Batch: batchOf(1, 0, 0, 1), Acks: -1, MinInSync: 3}); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("duplicate with one of three missing: %v, want REQUEST_TIMED_OUT (hard-04)", err)
		}
		time.Sleep(time.Minute) // longer than replica.lag.time.max.ms
		if in := lead.InSync(); len(in) != 2 {
			t.Errorf("in sync: %v", in)
		}
		if _, err := lead.Append(t.Context(), Append{Batch: plainBatch(1), Acks: -1, MinInSync: 3}); !errors.Is(err, kerr.NotEnoughReplicas) {
			t.Errorf("out of sync: %v, want NOT_ENOUGH_REPLICAS", err)
		}
	})
}

// D20: with one replica the effective minimum is one.
func TestMinInSyncIsBoundedByTheReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, Config{}, 1)
		if err := c.start(1); err != nil {
			t.Fatal(err)
		}
		defer c.stop(1)
		p := c.partition(1)
		if err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1, MinInSync: 3})
	})
}

func TestCloseAnswersWhatWaits(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(1)
		answers := make(chan error)
		go func() {
			_, err := lead.Append(context.Background(), Append{Batch: plainBatch(1), Acks: -1})
			answers <- err
		}()
		time.Sleep(10 * time.Millisecond)
		go c.stop(1)
		if err := <-answers; !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("append during close: %v", err)
		}
		select {
		case <-lead.Moved():
		case <-time.After(time.Second):
			t.Error("a closed partition never moves")
		}
	})
}
