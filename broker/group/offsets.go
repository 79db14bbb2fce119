package group

import (
	"iter"
	"maps"

	"github.com/oncelog/oncelog/protocol/planted"
)

// A partition names a topic partition of committed offsets.
type partition struct {
	topic string
	index int32
}

// A committed offset as the log holds it.
type committed struct {
	recordOffset int64 // of its record in __consumer_offsets
	offset       int64
	leaderEpoch  int32 // -1: not told
	metadata     string
	commitMs     int64    // in ms of the Unix epoch, by the clock of the coordinator that wrote it
	expireMs     int64    // -1: offsets.retention.minutes applies
	topicID      [16]byte // zero: written before topic ids were kept
}

// perPartition are the offsets of one group.
type perPartition map[partition]committed

// offsets are all offsets of one __consumer_offsets partition. Stable ones are
// what consumers see; pending ones belong to open transactions. It changes only
// by records and markers read back from the log up to the high watermark.
// Source: OffsetMetadataManager.
type offsets struct {
	stable  map[string]perPartition           // by group
	pending map[int64]map[string]perPartition // by producer id, then group
	open    map[string]map[partition]int      // by group: how many producers have a pending offset there
}

func newOffsets() offsets {
	return offsets{
		stable:  map[string]perPartition{},
		pending: map[int64]map[string]perPartition{},
		open:    map[string]map[partition]int{},
	}
}

// commit installs a stable offset.
func (o offsets) commit(group string, p partition, c committed) {
	if o.stable[group] == nil {
		o.stable[group] = perPartition{}
	}
	o.stable[group][p] = c
}

// pend installs an offset that waits for its transaction's marker.
func (o offsets) pend(producerID int64, group string, p partition, c committed) {
	groups := o.pending[producerID]
	if groups == nil {
		groups = map[string]perPartition{}
		o.pending[producerID] = groups
	}
	if groups[group] == nil {
		groups[group] = perPartition{}
	}
	if _, again := groups[group][p]; !again {
		if o.open[group] == nil {
			o.open[group] = map[partition]int{}
		}
		o.open[group][p]++
	}
	groups[group][p] = c
}

// remove takes an offset away, pending ones included: a tombstone was read.
func (o offsets) remove(group string, p partition) {
	drop(o.stable, group, p)
	if o.open[group][p] == 0 {
		return
	}
	drop(o.open, group, p)
	for producerID, groups := range o.pending {
		drop(groups, group, p)
		if len(groups) == 0 {
			delete(o.pending, producerID)
		}
	}
}

// drop removes a partition and, with its last one, the group.
func drop[M ~map[partition]V, V any](groups map[string]M, group string, p partition) {
	delete(groups[group], p)
	if len(groups[group]) == 0 {
		delete(groups, group)
	}
}

// settle ends a producer's transaction. On commit a pending offset becomes
// stable only if its record is newer than that of the stable one (hard-19).
func (o offsets) settle(producerID int64, commit bool) {
	for group, pending := range o.pending[producerID] {
		for p, c := range pending {
			if o.open[group][p]--; o.open[group][p] == 0 {
				drop(o.open, group, p)
			}
			if old, ok := o.stable[group][p]; commit && (!ok || c.recordOffset > old.recordOffset || planted.Is(planted.OffsetUndone)) {
				o.commit(group, p, c)
			}
		}
	}
	delete(o.pending, producerID)
}

// isPending says that an open transaction holds an offset of the partition.
func (o offsets) isPending(group string, p partition) bool { return o.open[group][p] > 0 }

// hasPending says that an open transaction holds an offset of the group.
func (o offsets) hasPending(group string) bool { return len(o.open[group]) > 0 }

// has says that the group has any offset, stable or pending.
func (o offsets) has(group string) bool { return len(o.stable[group]) > 0 || o.hasPending(group) }

// all yields the partitions of a group that have a stable or a pending offset,
// each once.
func (o offsets) all(group string) iter.Seq2[partition, committed] {
	return func(yield func(partition, committed) bool) {
		for p, c := range o.stable[group] {
			if !yield(p, c) {
				return
			}
		}
		if !o.hasPending(group) {
			return
		}
		seen := maps.Clone(o.stable[group])
		if seen == nil {
			seen = perPartition{}
		}
		for _, groups := range o.pending {
			for p, c := range groups[group] {
				if _, ok := seen[p]; ok {
					continue
				}
				seen[p] = c
				if !yield(p, c) {
					return
				}
			}
		}
	}
}
