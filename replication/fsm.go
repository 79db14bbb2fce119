package replication

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/planted"
)

// machine is raft's state machine of one group. It never sees record bytes:
// an applied index becomes a high watermark through the log's row for it. Only
// an agreed log start does something of its own.
type machine struct {
	g       *group
	answers []any
}

// Apply is called for a single entry.
func (m *machine) Apply(l *raft.Log) any {
	m.ApplyBatch([]*raft.Log{l})
	return nil
}

// ApplyBatch moves the high watermark to the end of a run of committed entries.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	if n := len(logs); cap(m.answers) < n {
		m.answers = make([]any, n)
	}
	if err := m.apply(logs); err != nil {
		m.g.store.broken(err)
	}
	return m.answers[:len(logs)]
}

func (m *machine) apply(logs []*raft.Log) error {
	last := logs[len(logs)-1]
	m.g.store.applied.Store(last.Index)
	mark, err := m.watermark(last)
	if err != nil {
		return err
	}
	started := false
	for _, l := range logs {
		if len(l.Extensions) != replicatedMark || log.Kind(l.Extensions[0]) != log.KindLogStart {
			continue
		}
		offset, err := log.LogStartOffset(l.Data)
		if err != nil {
			return fmt.Errorf("log start at index %d: %w", l.Index, err)
		}
		if planted.Is(planted.LogStartForgotten) {
			continue
		}
		if err := m.g.log.ApplyStart(offset, mark.highWatermark, l.Index); err != nil {
			return fmt.Errorf("apply log start of index %d: %w", l.Index, err)
		}
		started = true
	}
	if started {
		mark.lastStable = m.g.log.LastStableOffset(mark.highWatermark)
	}
	m.g.p.order.apply(mark, last.Index, started)
	m.g.transport.commits(last.Index)
	m.g.tell(last.Index)
	return nil
}

// watermark is how far the log is committed when l is. An index at or below
// the boundary has no row: everything up to the boundary is committed.
func (m *machine) watermark(l *raft.Log) (watermark, error) {
	if known := m.g.p.order.reached(); known.index >= l.Index {
		return known, nil
	}
	row, err := m.g.log.Row(l.Index)
	switch b := m.g.log.Boundary(); {
	case err == nil:
		return completed(m.g.log, l.Index, l.Term, row.NextOffset()), nil
	case errors.Is(err, log.ErrNotFound) && l.Index <= b.Index:
		return completed(m.g.log, l.Index, l.Term, b.NextOffset), nil
	default:
		return watermark{}, fmt.Errorf("row of applied index %d: %w", l.Index, err)
	}
}

// Snapshot is not reached: raft's own snapshots are switched off, the boundary
// is the only one (snapshot.go).
func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return nil, errNoSnapshot }

// Restore takes over a snapshot that was received. Without one, when raft
// starts, the state is found in the log, which the boundary belongs to.
//
// Raft does not forget the entries behind an installed snapshot that it thinks
// it still has, and would ask for another snapshot for ever: it starts anew.
func (m *machine) Restore(source io.ReadCloser) error {
	received := m.g.snapshots.received.Swap(nil)
	behind := false
	if received != nil {
		behind = m.g.log.LastIndex() >= received.snapshot.Boundary.Index
		if err := m.install(received.snapshot); err != nil {
			m.g.store.broken(err)
			return errors.Join(err, source.Close())
		}
	}
	b := m.g.log.Boundary()
	m.g.store.applied.Store(b.Index)
	mark := completed(m.g.log, b.Index, b.Term, b.NextOffset)
	m.g.p.order.apply(mark, b.Index, false)
	if behind {
		m.g.p.renew(m.g)
	}
	return source.Close()
}

// install replaces the log, unless the disk failed: the snapshot's term may be what
// could not be stored, and a log of a newer term than the slot's is refused at the
// next start.
func (m *machine) install(s log.Snapshot) error {
	if m.g.store.failed.Load() {
		return errOffline
	}
	members, err := decodeMembers(s.Boundary.Configuration)
	if err != nil {
		return fmt.Errorf("install the boundary at index %d: %w", s.Boundary.Index, err)
	}
	before := m.g.log.EndOffset()
	if err := m.g.log.ResetTo(s); err != nil {
		return fmt.Errorf("install the boundary at index %d: %w", s.Boundary.Index, err)
	}
	m.g.store.sole.Store(onlyVoter(members, m.g.store.self))
	m.g.p.logger.Info("installed the leader's boundary", "log_end_before", before, "log_start", s.LogStart, "next_offset", s.Boundary.NextOffset)
	return nil
}
