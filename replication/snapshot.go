package replication

import (
	"bytes"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"github.com/oncelog/oncelog/log"
)

// snapshots is raft's SnapshotStore: the log's boundary is the one snapshot
// there is, and it has no content of its own (hard-33).
//
// Installing another replica's snapshot is refused: a replica that fell behind
// the leader's boundary must be rebuilt.
type snapshots struct{ log *log.Log }

// Create refuses: raft takes none by itself, and none is installed.
func (s snapshots) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, errNoSnapshot
}

// List names the boundary, once the log has one.
func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	b := s.log.Boundary()
	if b.Index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{boundaryMeta(b)}, nil
}

// Open gives the boundary, which carries nothing but its name.
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta := boundaryMeta(s.log.Boundary())
	if meta.ID != id {
		return nil, nil, fmt.Errorf("snapshot %s: the boundary is now %s", id, meta.ID)
	}
	return meta, io.NopCloser(bytes.NewReader(nil)), nil
}

func boundaryMeta(b log.Boundary) *raft.SnapshotMeta {
	meta := &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 fmt.Sprintf("boundary-%d-%d", b.Term, b.Index),
		Index:              b.Index,
		Term:               b.Term,
		ConfigurationIndex: b.ConfigurationIndex,
	}
	if len(b.Configuration) > 0 {
		meta.Configuration = raft.DecodeConfiguration(b.Configuration)
	}
	return meta
}
