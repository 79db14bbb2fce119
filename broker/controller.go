package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// A controller brings partitions where the metadata wants them, while this node
// leads the metadata: reassignments to their end, and leaderships to the preferred
// replicas. Nothing of it is kept: the next controller finds all in the metadata and
// at the partitions' leaders.
//
// One goroutine (run) is all there is.
type controller struct {
	b        *Broker
	balanced time.Time // when leaders were last looked at
	// silent says since when partitions lack a majority that might be given up.
	silent map[replication.PartitionID]time.Time
	looked time.Time // when those were last looked for
}

// moveRest is the rest between two looks at reassignments under way, controllerRest
// how soon a new controller goes on with those of the one before.
const (
	moveRest       = 50 * time.Millisecond
	controllerRest = time.Second
)

// run works until ctx ends.
func (c *controller) run(ctx context.Context) {
	c.balanced = time.Now()
	for {
		changed := c.b.metadata.Changed()
		moving := movingIn(c.b.image())
		rest := c.untilBalance()
		switch {
		case len(moving) == 0:
		case c.leads():
			c.move(ctx, moving)
			rest = min(rest, moveRest)
			changed = nil // what was written itself is no news; the rest is short
		default:
			rest = min(rest, controllerRest)
		}
		if c.untilBalance() <= 0 {
			c.balance(ctx)
		}
		rest = min(rest, c.lookForLost(ctx))
		select {
		case <-changed:
		case <-time.After(max(rest, 0)):
		case <-ctx.Done():
			return
		}
	}
}

// lookForLost looks for majorities that are to be given up, at most once in a
// while, and says when next.
func (c *controller) lookForLost(ctx context.Context) time.Duration {
	if !c.b.plan.joins() {
		return time.Hour
	}
	if wait := time.Until(c.looked.Add(uncleanLook)); wait > 0 {
		return wait
	}
	c.recoverLost(ctx)
	c.looked = time.Now()
	return uncleanLook
}

func (c *controller) leads() bool { return c.b.metadata.Leader() == c.b.nodeID() }

// movingIn lists the partitions with a reassignment under way.
func movingIn(image *cluster.Image) []placed {
	var moving []placed
	for _, t := range image.Topics() {
		for i := range t.Partitions {
			if t.Partitions[i].Moving() {
				moving = append(moving, placed{t, int32(i)})
			}
		}
	}
	return moving
}

// A partitionMove asks the leader of a partition to bring it to other voters.
type partitionMove struct {
	ID     replication.PartitionID `json:"id"`
	Voters []int32                 `json:"voters"`
}

// move goes on with reassignments. Their leaders do the work, for a while and then
// to be asked again; in another order each time, so that none waits for those that
// cannot come forward.
func (c *controller) move(ctx context.Context, moving []placed) {
	rand.Shuffle(len(moving), func(i, j int) { moving[i], moving[j] = moving[j], moving[i] })
	states, served := c.b.leadersOf(ctx, moving), c.served(ctx, moving)
	var found []cluster.GroupFound
	moves, asked := map[int32][]partitionMove{}, map[int32][]placed{}
	for _, p := range moving {
		state, led := states[p.id()]
		switch {
		case !led:
		case !p.record().Founded:
			found = append(found, cluster.GroupFound{Topic: p.topic.ID, Partition: p.partition})
		case slices.ContainsFunc(p.record().Adding, func(node int32) bool { return served[node] <= p.record().Since }):
		default:
			moves[state.Leader] = append(moves[state.Leader], partitionMove{p.id(), p.record().Target()})
			asked[state.Leader] = append(asked[state.Leader], p)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*moveTime)
	defer cancel()
	for node, answers := range askLeaders(ctx, c.b, peerMoves, moves, c.b.moveHere) {
		for i, err := range answers {
			p := asked[node][i]
			if err == nil {
				found = append(found, cluster.GroupFound{Topic: p.topic.ID, Partition: p.partition, Voters: p.record().Target()})
				continue
			}
			c.b.logger.Debug("reassignment goes on", "topic", p.topic.Name, "partition", p.partition, "leader", node, "why", err)
		}
	}
	if len(found) == 0 {
		return
	}
	if err := c.b.metadata.Moved(ctx, found); err != nil && !errors.Is(err, kerr.NotController) {
		c.b.logger.Warn("the end of reassignments was not written; it is tried again", "partitions", len(found), "error", err)
	}
}

// served asks the nodes that are to have replicas up to where they act on the
// metadata. Before a node acts on the wish that it has one, it may still be about to
// remove the one it had: a vote must not be given to that.
func (c *controller) served(ctx context.Context, moving []placed) map[int32]int64 {
	nodes := map[int32]int64{}
	for _, p := range moving {
		for _, node := range p.record().Adding {
			nodes[node] = -1
		}
	}
	ctx, cancel := context.WithTimeout(ctx, elsewherePatience)
	defer cancel()
	var mu sync.Mutex
	var crew crew
	for node := range maps.Clone(nodes) {
		crew.run(func() {
			offset, err := c.b.topics.load().image.Offset, error(nil)
			if node != c.b.nodeID() {
				offset, err = askPeer[struct{}, int64](ctx, c.b, node, peerServed, struct{}{})
			}
			if err != nil {
				c.b.logger.Debug("a node that is to have replicas does not answer", "peer", node, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			nodes[node] = offset
		})
	}
	crew.wait()
	return nodes
}

// moveHere brings partitions that this node leads to other voters, as far as it
// comes within moveTime.
func (b *Broker) moveHere(ctx context.Context, all []partitionMove) []peerError {
	return eachOf(ctx, all, func(ctx context.Context, m partitionMove) error {
		p := b.node.Partition(m.ID)
		if p == nil {
			return kerr.NotLeaderForPartition
		}
		if !b.wished(m) {
			return fmt.Errorf("%v: node %d knows of no wish for %v, or of a newer one: %w", m.ID, b.nodeID(), m.Voters, kerr.InvalidUpdateVersion)
		}
		ctx, cancel := context.WithTimeout(ctx, moveTime/4)
		defer cancel()
		return p.SetVoters(ctx, m.Voters)
	})
}

// wished says whether a move is what the metadata wants as far as this node knows. A
// controller that is none any more may ask for what was wanted once.
func (b *Broker) wished(m partitionMove) bool {
	t, ok := b.image().TopicByID(m.ID.TopicID)
	if !ok || int(m.ID.Partition) >= len(t.Partitions) {
		return false
	}
	p := &t.Partitions[m.ID.Partition]
	return p.Founded && p.Moving() && slices.Equal(p.Target(), m.Voters)
}

// untilBalance is when leaders are looked at next, from now; hours when never.
func (c *controller) untilBalance() time.Duration {
	s := c.b.settings()
	if !s.leaderRebalance || !c.b.plan.joins() {
		return time.Hour
	}
	return time.Until(c.balanced.Add(time.Duration(s.imbalanceSeconds) * time.Second))
}

// balance has the preferred replicas lead what they can (auto.leader.rebalance.enable).
// Source: ReplicationControlManager.maybeBalancePartitionLeaders.
func (c *controller) balance(ctx context.Context) {
	c.balanced = time.Now()
	if !c.leads() {
		return
	}
	var all []placed
	for _, t := range c.b.image().Topics() {
		for i := range t.Partitions {
			if len(t.Partitions[i].Replicas) > 1 && !t.Partitions[i].Moving() {
				all = append(all, placed{t, int32(i)})
			}
		}
	}
	elected := 0
	for _, err := range c.b.electPreferred(ctx, all) {
		if err == nil {
			elected++
		}
	}
	if elected > 0 {
		c.b.logger.Info("leaderships returned to the preferred replicas", "partitions", elected)
	}
}
