package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// Unclean recovery (unclean.leader.election.enable, hard-23): a partition whose
// majority is gone goes on from one survivor's log, and what that log lacks is
// lost. The controller does it unasked for topics that allow it, and ElectLeaders
// asks for it. The metadata takes note before anything is done.

// How long a majority must be silent before it is given up unasked, which is
// Kafka's broker.session.timeout.ms, and how often the controller looks.
const (
	uncleanPatience = 9 * time.Second
	uncleanLook     = time.Second
)

// termsApart is how far a recovery's leader epoch lies above all that survivors
// know: those that were given up may have elected leaders since.
const termsApart = 1000

// silentMajority says whether this node hears too few of a partition's voters for
// them to elect a leader.
func (b *Broker) silentMajority(p *cluster.Partition) bool {
	voted := p.Voted()
	heard := 0
	for _, node := range voted {
		if b.node.Hears(node) {
			heard++
		}
	}
	return heard <= len(voted)/2
}

// recoverLost gives up majorities that have been silent for long, where the topic
// allows it, and notes which survivors went on.
func (c *controller) recoverLost(ctx context.Context) {
	if !c.leads() {
		c.silent = nil
		return
	}
	silent := map[replication.PartitionID]time.Time{}
	for _, t := range c.b.topics.load().names {
		for i := range t.Partitions {
			p := placed{t.Topic, int32(i)}
			if r := p.record().Recovery; r != nil && r.Survivor >= 0 {
				c.noteRecovered(ctx, p, *r)
			}
			if !t.settings.uncleanElection || !c.b.silentMajority(p.record()) {
				continue
			}
			since, known := c.silent[p.id()]
			if !known {
				since = time.Now()
			}
			silent[p.id()] = since
			if time.Since(since) < uncleanPatience {
				continue
			}
			silent[p.id()] = time.Now() // if it does not help, the next survivor has its time
			if err := c.b.recoverUnclean(ctx, p); err != nil {
				c.b.logger.Warn("no unclean recovery", "topic", t.Name, "partition", i, "error", err)
			}
		}
	}
	c.silent = silent
}

// noteRecovered looks whether the survivor leads its generation.
func (c *controller) noteRecovered(ctx context.Context, p placed, r cluster.Recovery) {
	standing, ok := c.b.standingsOf(ctx, p)[r.Survivor]
	if !ok || standing.Generation != r.Generation || !standing.Led {
		return
	}
	if err := c.b.metadata.Recovered(ctx, p.topic.ID, p.partition, r); err != nil {
		c.b.logger.Debug("an unclean recovery is not noted as done yet", "topic", p.topic.Name, "partition", p.partition, "error", err)
	}
}

// recoverUnclean has a partition go on from one survivor's log.
//
// Errors: ELECTION_NOT_NEEDED when it has a leader, ELIGIBLE_LEADERS_NOT_AVAILABLE
// when a majority of its voters is there or nobody has a log, NOT_CONTROLLER.
func (b *Broker) recoverUnclean(ctx context.Context, p placed) error {
	if !b.silentMajority(p.record()) {
		return refuse(kerr.EligibleLeadersNotAvailable, "a majority of the voters %v is there and elects the leader", p.record().Voted())
	}
	r, err := chooseSurvivor(p.record(), b.standingsOf(ctx, p))
	if err != nil {
		return err
	}
	if err := b.metadata.Recover(ctx, p.topic.ID, p.partition, r); err != nil {
		return err
	}
	b.metrics.unclean.Inc()
	b.logger.Warn("unclean recovery: the majority of the voters is given up; what they had committed and the survivor lacks is lost",
		"topic", p.topic.Name, "partition", p.partition, "voters", p.record().Voted(), "survivor", r.Survivor, "generation", r.Generation, "leader_epoch", r.Term)
	return nil
}

// chooseSurvivor takes the newest log of those that are there: of the newest
// generation, the highest term, the most entries; the preferred replica before
// others.
//
// Errors: ELECTION_NOT_NEEDED, ELIGIBLE_LEADERS_NOT_AVAILABLE.
func chooseSurvivor(p *cluster.Partition, standings map[int32]replication.Standing) (cluster.Recovery, error) {
	r := cluster.Recovery{Generation: p.Generation() + 1, Survivor: -1}
	if p.Recovery != nil {
		r.Term = p.Recovery.Term
	}
	var best replication.Standing
	for _, node := range p.Replicas {
		s, ok := standings[node]
		switch {
		case !ok:
			continue
		case s.Led:
			return r, kerr.ElectionNotNeeded
		}
		r.Term = max(r.Term, s.Term, s.LastTerm)
		if s.LastIndex > 0 && !s.Offline && (r.Survivor < 0 || s.Compare(best) > 0) {
			r.Survivor, best = node, s
		}
	}
	if r.Survivor < 0 {
		return r, refuse(kerr.EligibleLeadersNotAvailable, "none of the replicas %v is there with a log", p.Replicas)
	}
	r.Term += termsApart
	return r, nil
}

// standingsOf asks the nodes that hold a partition how they stand.
func (b *Broker) standingsOf(ctx context.Context, p placed) map[int32]replication.Standing {
	ctx, cancel := context.WithTimeout(ctx, elsewherePatience)
	defer cancel()
	var mu sync.Mutex
	found := map[int32]replication.Standing{}
	var crew crew
	for _, node := range p.record().Replicas {
		if !b.node.Hears(node) {
			continue
		}
		crew.run(func() {
			one, err := b.askStanding(ctx, node, p.id())
			if err != nil {
				b.logger.Debug("a node did not say how its replica stands", "peer", node, "topic", p.topic.Name, "partition", p.partition, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found[node] = one
		})
	}
	crew.wait()
	return found
}

func (b *Broker) askStanding(ctx context.Context, node int32, id replication.PartitionID) (replication.Standing, error) {
	if node != b.nodeID() {
		return askPeer[replication.PartitionID, replication.Standing](ctx, b, node, peerStanding, id)
	}
	return b.standingHere(id), nil
}

// standingHere answers askStanding on another node.
func (b *Broker) standingHere(id replication.PartitionID) replication.Standing {
	if p := b.node.Partition(id); p != nil {
		return p.Standing()
	}
	return replication.Standing{Offline: true}
}

// electUnclean has each partition without a majority go on without it, and
// returns what came of each, in their order.
//
// Errors: those of recoverUnclean, ELIGIBLE_LEADERS_NOT_AVAILABLE when the
// survivor does not lead within ctx.
func (b *Broker) electUnclean(ctx context.Context, partitions []placed) []error {
	each := make([]error, len(partitions))
	states := b.leadersOf(ctx, partitions)
	var crew crew
	for i, p := range partitions {
		if s, led := states[p.id()]; led && !b.silentMajority(p.record()) && b.node.Hears(s.Leader) {
			each[i] = kerr.ElectionNotNeeded
			continue
		}
		crew.run(func() {
			if each[i] = b.recoverUnclean(ctx, p); each[i] == nil {
				each[i] = b.awaitSurvivor(ctx, p)
			}
		})
	}
	crew.wait()
	return each
}

// awaitSurvivor waits until a partition is led in its newest generation.
func (b *Broker) awaitSurvivor(ctx context.Context, p placed) error {
	want := p.record().Generation() + 1
	for {
		for _, s := range b.standingsOf(ctx, p) {
			if s.Led && s.Generation >= want {
				return nil
			}
		}
		select {
		case <-time.After(moveRest):
		case <-ctx.Done():
			return fmt.Errorf("the survivor does not lead yet: %w: %w", ctx.Err(), kerr.EligibleLeadersNotAvailable)
		}
	}
}

// renewed says that a replica is of an older generation than the metadata wants.
func renewed(p *replication.Partition, record *cluster.Partition) bool {
	return p.Generation() < record.Generation()
}

// pastOf is the partition's newest unclean recovery.
func pastOf(p *cluster.Partition) replication.Recovery {
	if p.Recovery == nil {
		return replication.Recovery{}
	}
	return replication.Recovery(*p.Recovery)
}
