package replication

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"github.com/oncelog/oncelog/log"
)

// maxSnapshot bounds the content of a snapshot: the state of some 100 000
// producers, and for a compacted log the list of its files.
const maxSnapshot = 32 << 20

// snapshots is raft's SnapshotStore: the log's boundary is the one snapshot
// there is (hard-33). One that is installed waits here until the state machine,
// which has then applied all that came before, takes it over.
type snapshots struct {
	store    *store
	started  atomic.Bool // raft runs: until then it wants the boundary's name only
	received atomic.Pointer[received]
}

// received is another replica's snapshot that is to replace the log.
type received struct {
	snapshot log.Snapshot
	state    []byte
}

// Create begins an installation. Raft's main goroutine calls it, so no entry
// comes in between: a log that holds the snapshot's last entry holds all before
// it, and what follows may have been counted in a majority (hard-22).
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if s.store.holds(index, term) {
		return nil, fmt.Errorf("snapshot of index %d, term %d: %w", index, term, errHeld)
	}
	return &sink{to: s, index: index, term: term}, nil
}

// A sink collects a snapshot's content.
type sink struct {
	to          *snapshots
	index, term uint64
	state       []byte
}

// ID is the snapshot's name.
func (s *sink) ID() string { return boundaryName(s.index, s.term) }

// Write takes some of the content.
func (s *sink) Write(b []byte) (int, error) {
	s.state = append(s.state, b...)
	return len(b), nil
}

// Close checks the content. Nothing is changed yet.
func (s *sink) Close() error {
	snapshot, err := log.DecodeSnapshot(s.state)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.ID(), err)
	}
	if b := snapshot.Boundary; b.Index != s.index || b.Term != s.term {
		return fmt.Errorf("snapshot %s: its content is of index %d, term %d", s.ID(), b.Index, b.Term)
	}
	if _, err := boundaryMeta(snapshot.Boundary); err != nil {
		return fmt.Errorf("snapshot %w", err)
	}
	s.to.received.Store(&received{snapshot, s.state})
	return nil
}

// Cancel forgets what was collected.
func (s *sink) Cancel() error {
	s.state = nil
	return nil
}

// List names the boundary, once the log has one.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	b := s.store.log.Boundary()
	if b.Index == 0 {
		return nil, nil
	}
	meta, err := boundaryMeta(b)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

// Open gives the snapshot that is being installed, or the boundary's.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	var b log.Boundary
	var state []byte
	switch r := s.received.Load(); {
	case r != nil && boundaryName(r.snapshot.Boundary.Index, r.snapshot.Boundary.Term) == id:
		b, state = r.snapshot.Boundary, r.state
	case !s.started.Load():
		b = s.store.log.Boundary()
	default:
		own, err := s.store.log.Snapshot()
		if err != nil {
			return nil, nil, fmt.Errorf("snapshot %s: %w", id, err)
		}
		if own.Boundary.Configuration, err = raftMembers(own.Boundary.Configuration); err != nil {
			return nil, nil, fmt.Errorf("snapshot %s: %w", id, err)
		}
		if b, state = own.Boundary, own.Encode(); len(state) > maxSnapshot {
			return nil, nil, fmt.Errorf("snapshot %s has %d bytes, at most %d can be installed elsewhere", id, len(state), maxSnapshot)
		}
	}
	meta, err := boundaryMeta(b)
	if err != nil {
		return nil, nil, err
	}
	if meta.ID != id {
		return nil, nil, fmt.Errorf("snapshot %s: the boundary is now %s", id, meta.ID)
	}
	meta.Size = int64(len(state))
	return meta, io.NopCloser(bytes.NewReader(state)), nil
}

func boundaryName(index, term uint64) string { return fmt.Sprintf("boundary-%d-%d", term, index) }

// boundaryMeta is the boundary as raft knows a snapshot.
//
// Errors: log.ErrCorrupt.
func boundaryMeta(b log.Boundary) (*raft.SnapshotMeta, error) {
	meta := &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 boundaryName(b.Index, b.Term),
		Index:              b.Index,
		Term:               b.Term,
		ConfigurationIndex: b.ConfigurationIndex,
	}
	if len(b.Configuration) == 0 {
		return meta, nil
	}
	var err error
	if meta.Configuration, err = decodeMembers(b.Configuration); err != nil {
		return nil, fmt.Errorf("%s: %w", meta.ID, err)
	}
	return meta, nil
}
