package replication

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
)

// A Recovery is an unclean one: a group's majority was given up, and one
// survivor's log goes on alone in a new generation, whatever the others had
// committed (Kafka's unclean leader election). The metadata decides it. Raft's
// own RecoverCluster would remove the log (hard-23).
//
// The survivor's log goes on in a term far above all that were known, so leader
// epochs never repeat. Requests carry the generation, so those that were given
// up elect nobody any more once they know it: their logs are removed, and the
// survivor brings them its own.
type Recovery struct {
	Generation uint32 // how often; 0: never
	Survivor   int32  // whose log goes on; -1: it went on, and all may follow it
	Term       uint64 // in which it goes on
}

// givesUp says whether a node's own log does not count.
func (r Recovery) givesUp(node int32) bool { return r.Generation > 0 && r.Survivor != node }

// ErrSurvivor says that the log from which a generation was to go on is not there.
var ErrSurvivor = errors.New("replication: the log that was to go on alone is gone")

// regenerate brings a replica of an older generation into its Spec's. Repeated
// after a crash in the middle it does the same again.
func (p *Partition) regenerate(v *slot) error {
	if p.past.Generation <= v.value.generation {
		return nil
	}
	next := ballot{term: max(v.value.term, 1), voteTerm: v.value.voteTerm, candidate: v.value.candidate, generation: p.past.Generation}
	var err error
	if p.past.givesUp(p.node.cfg.NodeID) {
		err = p.forsakeLog()
	} else {
		next = ballot{term: p.past.Term, generation: p.past.Generation}
		err = p.goOnAlone()
	}
	if err != nil {
		return fmt.Errorf("generation %d of %v: %w", p.past.Generation, p.id, err)
	}
	return p.node.slots.put(v, next)
}

// goOnAlone makes this node the only voter, in the new term.
func (p *Partition) goOnAlone() (err error) {
	l, err := p.openLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if l.LastIndex() == 0 {
		return ErrSurvivor
	}
	p.logger.Warn("unclean recovery: this replica's log goes on alone; what it lacks of what others had committed is lost",
		"generation", p.past.Generation, "log_end", l.EndOffset(), "leader_epoch_before", l.LastTerm(), "leader_epoch", p.past.Term)
	if l.LastTerm() >= p.past.Term {
		return nil // done before a crash
	}
	alone := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: serverID(p.node.cfg.NodeID), Address: serverAddress(p.node.cfg.NodeID)}}}
	if err = l.Append([]log.Entry{{Index: l.LastIndex() + 1, Term: p.past.Term, Kind: log.KindConfiguration, Data: encodeMembers(alone)}}); err != nil {
		return err
	}
	return l.Sync()
}

// forsakeLog removes the log of a replica that was given up.
func (p *Partition) forsakeLog() error {
	l, err := p.openLog()
	if err != nil {
		return err
	}
	if l.LastIndex() > 0 {
		p.logger.Warn("unclean recovery: another replica's log went on; this one is removed and brought anew",
			"generation", p.past.Generation, "survivor", p.past.Survivor, "log_end", l.EndOffset(), "leader_epoch", l.LastTerm())
	}
	return l.Remove()
}

// Generation counts the recoveries that this replica knows of.
func (p *Partition) Generation() uint32 { return p.past.Generation }

// A Standing is what a replica says when a survivor is chosen.
type Standing struct {
	Generation uint32 `json:"generation"`
	Term       uint64 `json:"term"`      // the newest that it knows
	LastTerm   uint64 `json:"lastTerm"`  // of its last entry
	LastIndex  uint64 `json:"lastIndex"` // 0: it has no log
	Led        bool   `json:"led"`       // it leads, or hears who does
	Offline    bool   `json:"offline"`   // its disk failed, or it is not open
}

// Compare says whose log is newer, as raft's votes do.
func (s Standing) Compare(other Standing) int {
	return cmp.Or(cmp.Compare(s.Generation, other.Generation), cmp.Compare(s.LastTerm, other.LastTerm), cmp.Compare(s.LastIndex, other.LastIndex))
}

// Standing is how this replica stands. A leader without its majority leads no more.
func (p *Partition) Standing() Standing {
	g, l := p.group.Load(), p.Leadership()
	s := Standing{
		Generation: p.past.Generation, Term: g.raft.CurrentTerm(), LastTerm: g.log.LastTerm(), LastIndex: g.log.LastIndex(),
		Offline: g.store.failed.Load() || g.stopped.Load(),
	}
	if l.Leader == p.node.cfg.NodeID {
		s.Led = l.Ready && !p.Fenced()
	} else {
		s.Led = l.Leader >= 0 && p.node.Hears(l.Leader)
	}
	return s
}
