package replication

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/twmb/franz-go/pkg/kerr"

	mesh "github.com/oncelog/oncelog/replication/transport"
)

// hard-24: a leader is fenced before its voters can have found its node dead and
// elected another. They ping at their own moments, so their second may begin up to
// an interval before the leader's. For no moment do two serve.
func TestHard24NoMomentWithTwoLeaders(t *testing.T) {
	for seed := range uint64(24) {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			rng := rand.New(rand.NewPCG(seed, 24))
			for id := range int32(3) { // pings of the nodes have another phase in each round
				f.stop(id + 1)
				time.Sleep(time.Duration(rng.IntN(250)) * time.Millisecond)
				f.start(id + 1)
			}
			old := f.write(0)
			time.Sleep(2*time.Second + time.Duration(rng.IntN(500))*time.Millisecond)
			way := rng.IntN(3)
			f.isolate(old.node.cfg.NodeID, way != 0, way != 1)
			began := time.Now()
			var fenced, led time.Duration
			for ; led == 0 && time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
				if fenced == 0 && old.Fenced() {
					fenced = time.Since(began)
				}
				for _, n := range f.nodes {
					if p := n.Partition(f.specs[0].ID); p != old && p.leads() {
						led = time.Since(began)
					}
				}
			}
			if led == 0 {
				t.Fatalf("seed %d: nobody else leads", seed)
			}
			if fenced == 0 || fenced > led {
				t.Errorf("seed %d: another leads %v after the cut, the leader is fenced after %v", seed, led, fenced)
			}
		})
	}
}

// hard-24: a partition's own voters count. A leader that reaches most nodes, but
// of its voters only itself, is fenced.
func TestHard24OtherNodesAreNoVoters(t *testing.T) {
	inFleetOf(t, []int32{1, 2, 3, 4, 5}, [][]int32{{1, 2, 3}}, func(t *testing.T, f *fleet) {
		old := f.write(0)
		leader := old.node.cfg.NodeID
		for _, voter := range []int32{1, 2, 3} {
			if voter != leader {
				f.network.Cut(hostOf(leader), hostOf(voter))
				f.network.Cut(hostOf(voter), hostOf(leader))
			}
		}
		time.Sleep(time.Second)
		for _, other := range []int32{4, 5} {
			if !old.node.Hears(other) {
				t.Fatalf("the leader does not hear node %d", other)
			}
		}
		if !old.Fenced() {
			t.Error("a leader that hears two nodes that have no vote is not fenced")
		}
		if lead := f.write(0); lead == old {
			t.Error("it took an append")
		}
	})
}

// hard-24: what was stored before the fence is judged again when it is answered:
// acks=1 tells nobody of a record in a log that another's replaces. Here raft's
// goroutine stands still between the check and the store, as a stopped process.
func TestHard24TheAnswerIsJudgedToo(t *testing.T) {
	var stall atomic.Int64
	cfg := Config{faulty: func(o *order) ledger { return stallingLedger{o, &stall} }}
	inClusterWith(t, cfg, func(t *testing.T, c *cluster, lead *Partition) {
		for _, acks := range []int16{1, 0} {
			stall.Store(0)
			mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: acks})
			stall.Store(int64(2 * time.Second))
			time.AfterFunc(time.Second, func() { c.silence(1, true) })
			_, err := lead.Append(t.Context(), Append{Batch: plainBatch(1), Acks: acks})
			if !errors.Is(err, kerr.NotLeaderForPartition) || errors.Is(err, ErrRefused) {
				t.Errorf("acks=%d stored by a leader that was fenced meanwhile: %v, want an ambiguous NOT_LEADER_OR_FOLLOWER", acks, err)
			}
			c.silence(1, false)
		}
	})
}

// A stallingLedger has raft's goroutine stand still before it stores.
type stallingLedger struct {
	ledger
	stall *atomic.Int64
}

func (l stallingLedger) claim(term, ticket, storeTerm uint64) *proposal {
	time.Sleep(time.Duration(l.stall.Load()))
	return l.ledger.claim(term, ticket, storeTerm)
}

// A pause that is too short to have a leader deposed costs its clients none of
// their appends: the leader asks its voters before it refuses one.
func TestHard24AShortSilenceRefusesNothing(t *testing.T) {
	for _, silence := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 900 * time.Millisecond} {
		t.Run(silence.String(), func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				lead := f.write(0)
				time.Sleep(5 * time.Second)
				f.isolate(lead.node.cfg.NodeID, true, true)
				time.Sleep(silence)
				f.heal(lead.node.cfg.NodeID)
				for _, acks := range []int16{1, -1} {
					began := time.Now()
					if _, err := lead.Append(t.Context(), Append{Batch: plainBatch(1), Acks: acks}); err != nil {
						t.Errorf("acks=%d after a silence of %v: %v", acks, silence, err)
					}
					if took := time.Since(began); took > fencePatience {
						t.Errorf("acks=%d after a silence of %v took %v", acks, silence, took)
					}
				}
			})
		})
	}
}

// hard-25: one voter that does not hear a leader deposes nobody, in whichever
// direction the way is broken; the majority hears it.
func TestHard25OneVoterThatHearsNoLeaderDeposesNobody(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to bool
	}{{"nothing from the leader", true, false}, {"nothing to the leader", false, true}, {"neither", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				lead := f.write(0)
				id, epoch := lead.node.cfg.NodeID, lead.Leadership().Epoch
				deaf := id%3 + 1
				if c.from {
					f.network.Cut(hostOf(id), hostOf(deaf))
				}
				if c.to {
					f.network.Cut(hostOf(deaf), hostOf(id))
				}
				for range 30 {
					time.Sleep(2 * time.Second)
					if p := f.write(0); p != lead || p.Leadership().Epoch != epoch {
						t.Fatalf("node %d leads in epoch %d, want node %d in epoch %d", p.node.cfg.NodeID, p.Leadership().Epoch, id, epoch)
					}
				}
				f.network.Heal(hostOf(id), hostOf(deaf))
				f.network.Heal(hostOf(deaf), hostOf(id))
				time.Sleep(20 * time.Second)
				if p := f.write(0); p != lead || p.Leadership().Epoch != epoch {
					t.Errorf("after the way is mended node %d leads in epoch %d, want node %d in epoch %d", p.node.cfg.NodeID, p.Leadership().Epoch, id, epoch)
				}
			})
		})
	}
}

// hard-25: a replica that starts with clients waiting deposes nobody either.
func TestHard25AStartDeposesNobody(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		lead := f.write(0)
		epoch, other := lead.Leadership().Epoch, lead.node.cfg.NodeID%3+1
		for range 5 {
			f.stop(other)
			time.Sleep(3 * time.Second)
			f.start(other)
			f.network.Cut(hostOf(lead.node.cfg.NodeID), hostOf(other))
			time.Sleep(3 * time.Second)
			f.network.Heal(hostOf(lead.node.cfg.NodeID), hostOf(other))
			if p := f.write(0); p != lead || p.Leadership().Epoch != epoch {
				t.Fatalf("node %d leads in epoch %d, want node %d in epoch %d", p.node.cfg.NodeID, p.Leadership().Epoch, lead.node.cfg.NodeID, epoch)
			}
		}
	})
}

// hard-25: a replica that stood and lost hears the next kick: it follows the
// winner as a candidate, and raft would let it wait for ten seconds.
func TestHard25ALoserHearsTheNextKick(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		lead := f.write(0)
		loser := f.nodes[lead.node.cfg.NodeID%3+1].Partition(f.specs[0].ID)
		f.isolate(loser.node.cfg.NodeID, true, true)
		loser.group.Load().stand() // nobody hears of it
		time.Sleep(100 * time.Millisecond)
		f.heal(loser.node.cfg.NodeID)
		time.Sleep(5 * time.Second)
		f.stop(f.write(0).node.cfg.NodeID)
		began := time.Now()
		f.write(0)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the next append was acked after %v, want at most 3s", took)
		}
	})
}

// strand cuts a leader off until raft's lease has ended.
func strand(t *testing.T, f *fleet) (old *Partition, epoch int32) {
	t.Helper()
	old = f.write(0)
	epoch = old.Leadership().Epoch
	f.isolate(old.node.cfg.NodeID, true, true)
	time.Sleep(peerTimeout)
	return old, epoch
}

// hard-26: two of three die. Who led stays the leader that clients ask: appends
// are refused with NOT_ENOUGH_REPLICAS before and after raft's lease, what is
// committed is told, and it leads again as soon as one of them is back.
func TestHard26ALeaderWithoutItsMajority(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old := f.write(0)
		self, epoch := old.node.cfg.NodeID, old.Leadership().Epoch
		first, second := self%3+1, (self+1)%3+1
		f.stop(first)
		f.write(0)
		f.stop(second)
		began, lease := time.Now(), peerTimeout*6/10
		for _, at := range []time.Duration{time.Second, lease / 2, 2 * lease, 10 * time.Minute} {
			time.Sleep(at - time.Since(began))
			l := old.Leadership()
			if l.Leader != self || l.Epoch != epoch || l.Ready == l.Stranded || l.Stranded != (at > lease) {
				t.Errorf("after %v: %+v, want node %d in epoch %d, stranded once the lease of %v is over", at, l, self, epoch, lease)
			}
			for _, acks := range []int16{-1, 1, 0} {
				if _, err := old.Append(t.Context(), Append{Batch: plainBatch(1), Acks: acks}); !errors.Is(err, kerr.NotEnoughReplicas) || !errors.Is(err, ErrRefused) {
					t.Errorf("acks=%d after %v: %v, want it refused with NOT_ENOUGH_REPLICAS", acks, at, err)
				}
			}
			if old.HighWatermark() != 2 || old.EndOffset() != 2 {
				t.Errorf("after %v: high watermark %d, log end %d, want 2 and 2", at, old.HighWatermark(), old.EndOffset())
			}
		}
		f.start(first)
		began = time.Now()
		if err := old.WaitReady(within(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		t.Logf("leads %v after a voter is back", time.Since(began))
		if l := old.Leadership(); l.Epoch <= epoch || l.Stranded {
			t.Errorf("%+v, want an epoch above %d", l, epoch)
		}
		mustAppend(t, old, Append{Batch: plainBatch(1), Acks: -1})
	})
}

// hard-26: records that were not committed when the majority was lost are not
// told, however long it is away.
func TestHard26OnlyWhatIsCommittedIsTold(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old := f.write(0)
		f.isolate(old.node.cfg.NodeID, true, true)
		if _, err := old.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(peerTimeout)
		if l := old.Leadership(); !l.Stranded || old.HighWatermark() != 1 || old.EndOffset() != 2 {
			t.Errorf("%+v, high watermark %d, log end %d, want it stranded with 1 and 2", l, old.HighWatermark(), old.EndOffset())
		}
	})
}

// hard-26: nodes that answer again say nothing of the group. Until that has a
// leader the one that is stranded judges no reader's offset (hard-27).
func TestHard26StrandedIsFencedThoughNodesAnswer(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		c.isolate(1) // pings are answered all the time
		time.Sleep(peerTimeout)
		if l := lead.Leadership(); !l.Stranded || !lead.Fenced() {
			t.Errorf("%+v, fenced: %v, want it stranded and fenced", l, lead.Fenced())
		}
		if _, err := lead.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1}); !errors.Is(err, kerr.NotEnoughReplicas) {
			t.Errorf("append: %v, want NOT_ENOUGH_REPLICAS", err)
		}
	})
}

// hard-26: once it hears of a newer term it leads no more, and clients are sent
// elsewhere; and so they are when it is cut off again.
func TestHard26ANewerTermEndsIt(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old, epoch := strand(t, f)
		if !old.Leadership().Stranded {
			t.Fatalf("%+v, want it stranded", old.Leadership())
		}
		lead := f.write(0)
		f.heal(old.node.cfg.NodeID)
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			_, err := old.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1})
			if errors.Is(err, kerr.NotLeaderForPartition) {
				break
			}
			if !errors.Is(err, kerr.NotEnoughReplicas) || time.Since(began) > 5*time.Second {
				t.Fatalf("%v after the cut is mended: %v, want NOT_ENOUGH_REPLICAS until it hears of the new leader and NOT_LEADER_OR_FOLLOWER then", time.Since(began), err)
			}
		}
		f.write(0)
		if l, want := old.Leadership(), (Leadership{Leader: lead.node.cfg.NodeID, Epoch: lead.Leadership().Epoch}); l != want || l.Epoch <= epoch {
			t.Errorf("it knows %+v, want %+v above epoch %d", l, want, epoch)
		}
		f.isolate(old.node.cfg.NodeID, true, true)
		time.Sleep(peerTimeout)
		if _, err := old.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1}); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("a follower that hears nobody: %v, want NOT_LEADER_OR_FOLLOWER", err)
		}
	})
}

// hard-26: a vote that another asks for is a newer term too, though raft, a
// follower already, changes no state by it.
func TestHard26ACandidateEndsIt(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old, epoch := strand(t, f)
		if !old.Leadership().Stranded {
			t.Fatalf("%+v, want it stranded", old.Leadership())
		}
		candidate := old.node.cfg.NodeID%3 + 1
		request := &raft.RequestVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(candidate)), Addr: mesh.CandidateName(candidate)},
			Term:      uint64(epoch) + 1, LeadershipTransfer: true, // its log is empty: no vote for it
		}
		if _, err := old.group.Load().transport.receive(request)(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l, want := old.Leadership(), (Leadership{Leader: -1, Epoch: epoch}); l != want {
			t.Errorf("%+v, want %+v: node %d asked for its vote in a newer term", l, want, candidate)
		}
	})
}

// hard-26: who gives its leadership away, or is taken off the group, lost no majority.
func TestHard26AHandoverStrandsNobody(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old := f.write(0)
		to := old.node.cfg.NodeID%3 + 1
		moved := make(chan error)
		go func() {
			for l := old.Leadership(); l.Leader != to; l = old.Leadership() {
				if l.Stranded {
					moved <- fmt.Errorf("%+v while it hands over", l)
					return
				}
				changed := old.Moved()
				if old.Leadership() == l {
					<-changed
				}
			}
			moved <- nil
		}()
		if err := old.Transfer(context.Background(), to); err != nil {
			t.Fatal(err)
		}
		if err := <-moved; err != nil {
			t.Error(err)
		}
	})
}
