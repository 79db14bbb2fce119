package replication

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// enough refuses an append with acks=all that too few voters could take, and
// says how many must hold it beyond the majority that commits it (hard-32).
// Fewer voters than min.insync.replicas asks for count as all of them (D20).
//
// Errors: NOT_ENOUGH_REPLICAS.
func (p *Partition) enough(a Append) (need int, err error) {
	g := p.group.Load()
	if a.Acks != -1 || g.store.sole.Load() {
		return 0, nil
	}
	voters := p.Voters()
	need = min(int(a.MinInSync), len(voters))
	if have := len(p.InSync()); p.Leadership().Ready && have < need {
		return 0, fmt.Errorf("%d replicas are in sync, want %d: %w", have, need, kerr.NotEnoughReplicas)
	}
	if need <= len(voters)/2+1 {
		return 0, nil
	}
	return need, nil
}

// InSync lists the voters that have lately held all that the leader had: those
// caught up within replica.lag.time.max.ms, this leader among them. It is empty
// on a follower, which does not know.
func (p *Partition) InSync() []int32 {
	if !p.Leadership().Ready {
		return nil
	}
	g := p.group.Load()
	var in []int32
	for _, v := range p.Voters() {
		if v == p.node.cfg.NodeID || time.Since(g.transport.peer(v).caughtUp) <= p.node.cfg.ReplicaLagTimeMax {
			in = append(in, v)
		}
	}
	return in
}

// holding counts the voters known to hold an index, this leader among them.
func (p *Partition) holding(index uint64) int {
	g := p.group.Load()
	n := 0
	for _, v := range p.Voters() {
		if v == p.node.cfg.NodeID || g.transport.heard(v).match >= index {
			n++
		}
	}
	return n
}

// lowestMatch is the lowest index that the voters seen lately hold.
func (p *Partition) lowestMatch() uint64 {
	g := p.group.Load()
	lowest := g.log.LastIndex()
	for _, v := range p.Voters() {
		seen := g.transport.peer(v)
		if v != p.node.cfg.NodeID && time.Since(seen.contact) <= p.node.cfg.ReplicaLagTimeMax {
			lowest = min(lowest, seen.match)
		}
	}
	return lowest
}
