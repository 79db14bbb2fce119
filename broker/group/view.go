package group

import (
	"fmt"
	"log/slog"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

// A view is what the coordinator knows of one __consumer_offsets partition: the
// offsets and the durable part of the groups, both a function of the log up to
// the high watermark, and, once live, the membership, which is in memory only.
// The shard's view lock guards it.
type view struct {
	offsets offsets
	groups  map[string]*group
	live    bool          // this node coordinates; the groups' members are real
	gone    chan struct{} // closed when this node coordinates no more
	logger  *slog.Logger
	unknown int // records of a kind this version does not know
}

func newView(logger *slog.Logger) *view {
	return &view{offsets: newOffsets(), groups: map[string]*group{}, gone: make(chan struct{}), logger: logger}
}

// Apply installs a committed batch. See shard.View.
func (v *view) Apply(b shard.Batch) error {
	if b.Control != nil {
		v.offsets.settle(b.ProducerID, b.Control.Commit)
		return nil
	}
	for _, r := range b.Records {
		kind, err := keyVersion(r.Key)
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		switch {
		case kind == 0 || kind == offsetCommitKeyVersion:
			err = v.applyOffset(b, r)
		case kind == groupMetadataKeyVersion:
			err = v.applyGroup(r)
		default:
			// As Kafka does: a newer version may have written more.
			v.unknown++
		}
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
	}
	return nil
}

func (v *view) applyOffset(b shard.Batch, r record.Record) error {
	id, p, c, tombstone, err := decodeOffset(r)
	switch {
	case err != nil:
		return err
	case tombstone:
		v.offsets.remove(id, p)
		return nil
	case b.Transactional && !planted.Is(planted.OffsetsOutside):
		v.offsets.pend(b.ProducerID, id, p, c)
	default:
		v.offsets.commit(id, p, c)
	}
	if v.groups[id] == nil {
		v.groups[id] = newGroup(id, -1)
	}
	return nil
}

// applyGroup installs a group as stored. While live the memory is ahead of the
// log: then a record only says that there is one, and a tombstone ends the group
// unless someone has joined meanwhile.
func (v *view) applyGroup(r record.Record) error {
	id, stored, err := decodeGroup(r)
	if err != nil {
		return err
	}
	g := v.groups[id]
	switch {
	case stored == nil && g == nil:
	case stored == nil:
		g.stored = false
		if g.vacant() {
			v.discard(g)
		}
	case v.live && g != nil:
		g.stored = true
	default:
		v.groups[id] = stored
	}
	return nil
}

// discard forgets a group.
func (v *view) discard(g *group) {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.move(Dead, g.stateSince)
	delete(v.groups, g.id)
}
