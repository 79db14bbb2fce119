package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// place spreads n partitions over the brokers, of which first are there already:
//
//   - each broker leads as many as any other, give or take one, but fenced ones none;
//   - no two replicas of a partition are in a rack while there are racks enough;
//   - else fenced brokers come last;
//   - else who has the fewest replicas gets the next, so brokers hold the same number
//     where racks are of one size.
//
// It begins at a random broker, or the first ones would get all topics of one
// partition. Brokers without a rack are in one together. Source: the properties of
// StripedReplicaPlacer.
//
// Errors: POLICY_VIOLATION, INVALID_REPLICATION_FACTOR.
func place(img *Image, first, n, replicas int, in given) ([]Partition, error) {
	brokers := img.Brokers()
	p := placement{ring: acrossRacks(brokers), held: map[int32]int{}, fenced: in.fenced}
	var leaders []int // places of the ring
	for i, b := range p.ring {
		if !in.fenced[b.ID] {
			leaders = append(leaders, i)
		}
	}
	switch {
	case n > maxPartitions:
		return nil, fmt.Errorf("%d partitions at once, at most %d are allowed: %w", n, maxPartitions, kerr.PolicyViolation)
	case replicas > len(brokers):
		return nil, fmt.Errorf("replication factor %d cannot be reached because only %d broker(s) are registered: %w", replicas, len(brokers), kerr.InvalidReplicationFactor)
	case len(leaders) == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", replicas)
	}
	partitions := make([]Partition, n)
	for i := range partitions {
		own := p.next(leaders[(in.random%len(leaders)+first+i)%len(leaders)], (first+i)/len(leaders), replicas)
		partitions[i] = Partition{ID: int32(first + i), Replicas: own}
	}
	return partitions, nil
}

// acrossRacks orders brokers so that neighbours are in different racks where they
// can be: one of each rack in turn.
func acrossRacks(brokers []*Broker) []*Broker {
	turn := map[*Broker]int{}
	inRack := map[string]int{}
	for _, b := range brokers { // by id
		turn[b] = inRack[b.Rack]
		inRack[b.Rack]++
	}
	ring := slices.Clone(brokers)
	slices.SortFunc(ring, func(a, b *Broker) int {
		return cmp.Or(cmp.Compare(turn[a], turn[b]), cmp.Compare(a.Rack, b.Rack))
	})
	return ring
}

// A placement is what was placed so far.
type placement struct {
	ring   []*Broker
	held   map[int32]int // replicas by broker
	fenced map[int32]bool
}

// next chooses the replicas of a partition that the broker at a place of the ring
// leads. round counts how often the ring was gone around: the second replicas of a
// leader's partitions are others each time.
func (p *placement) next(leader, round, replicas int) []int32 {
	n := len(p.ring)
	racks := map[string]int{}
	var own []int32
	take := func(b *Broker) {
		own = append(own, b.ID)
		racks[b.Rack]++
		p.held[b.ID]++
	}
	take(p.ring[leader])
	for len(own) < replicas {
		var best *Broker
		for i := range n - 1 {
			b := p.ring[(leader+1+(round+i)%(n-1))%n]
			if !slices.Contains(own, b.ID) && (best == nil || p.compare(racks, b, best) < 0) {
				best = b
			}
		}
		take(best)
	}
	return own
}

// compare says which of two brokers is the better next replica, -1 the first; racks
// counts the partition's replicas in each.
func (p *placement) compare(racks map[string]int, a, b *Broker) int {
	away := func(b *Broker) int {
		if p.fenced[b.ID] {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(racks[a.Rack], racks[b.Rack]), cmp.Compare(away(a), away(b)), cmp.Compare(p.held[a.ID], p.held[b.ID]))
}

// assigned takes a manual assignment of the partitions from first on; every partition
// has the same number of replicas, and one that can lead it.
//
// Errors: POLICY_VIOLATION, INVALID_REPLICA_ASSIGNMENT.
func assigned(img *Image, first int, assignments [][]int32, replicas int, in given) ([]Partition, error) {
	if len(assignments) > maxPartitions {
		return nil, fmt.Errorf("%d partitions at once, at most %d are allowed: %w", len(assignments), maxPartitions, kerr.PolicyViolation)
	}
	partitions := make([]Partition, len(assignments))
	for i, own := range assignments {
		if err := checkReplicas(img, own); err != nil {
			return nil, err
		}
		if len(own) != replicas {
			return nil, refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(own), replicas)
		}
		if !slices.ContainsFunc(own, func(id int32) bool { return !in.fenced[id] }) {
			return nil, refuse(kerr.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", first+i)
		}
		partitions[i] = Partition{ID: int32(first + i), Replicas: slices.Clone(own)}
	}
	return partitions, nil
}

// checkReplicas judges the replicas that somebody chose for a partition.
//
// Errors: INVALID_REPLICA_ASSIGNMENT. Source: ReplicationControlManager.validateManualPartitionAssignment.
func checkReplicas(img *Image, replicas []int32) error {
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if b, ok := img.Broker(id); !ok || b.Joining {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && id == sorted[i-1] {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	return nil
}
