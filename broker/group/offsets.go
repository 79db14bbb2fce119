package group

import (
	"iter"
	"maps"
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
}

func newOffsets() offsets {
	return offsets{stable: map[string]perPartition{}, pending: map[int64]map[string]perPartition{}}
}

// commit installs a stable offset.
func (o offsets) commit(group string, p partition, c committed) {
	put(o.stable, group, p, c)
}

// pend installs an offset that waits for its transaction's marker.
func (o offsets) pend(producerID int64, group string, p partition, c committed) {
	if o.pending[producerID] == nil {
		o.pending[producerID] = map[string]perPartition{}
	}
	put(o.pending[producerID], group, p, c)
}

func put(groups map[string]perPartition, group string, p partition, c committed) {
	if groups[group] == nil {
		groups[group] = perPartition{}
	}
	groups[group][p] = c
}

// remove takes an offset away, pending ones included: a tombstone was read.
func (o offsets) remove(group string, p partition) {
	drop(o.stable, group, p)
	for producerID, groups := range o.pending {
		drop(groups, group, p)
		if len(groups) == 0 {
			delete(o.pending, producerID)
		}
	}
}

func drop(groups map[string]perPartition, group string, p partition) {
	delete(groups[group], p)
	if len(groups[group]) == 0 {
		delete(groups, group)
	}
}

// settle ends a producer's transaction. On commit a pending offset becomes
// stable only if its record is newer than that of the stable one (hard-19).
func (o offsets) settle(producerID int64, commit bool) {
	if commit {
		for group, pending := range o.pending[producerID] {
			for p, c := range pending {
				if old, ok := o.stable[group][p]; !ok || c.recordOffset > old.recordOffset {
					o.commit(group, p, c)
				}
			}
		}
	}
	delete(o.pending, producerID)
}

// get is the stable offset of a partition.
func (o offsets) get(group string, p partition) (committed, bool) {
	c, ok := o.stable[group][p]
	return c, ok
}

// isPending says that an open transaction holds an offset of the partition.
func (o offsets) isPending(group string, p partition) bool {
	for _, groups := range o.pending {
		if _, ok := groups[group][p]; ok {
			return true
		}
	}
	return false
}

// hasPending says that an open transaction holds an offset of the group.
func (o offsets) hasPending(group string) bool {
	for _, groups := range o.pending {
		if len(groups[group]) > 0 {
			return true
		}
	}
	return false
}

// all yields the partitions of a group that have a stable or a pending offset,
// each once.
func (o offsets) all(group string) iter.Seq2[partition, committed] {
	return func(yield func(partition, committed) bool) {
		seen := maps.Clone(o.stable[group])
		for p, c := range seen {
			if !yield(p, c) {
				return
			}
		}
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

// An expiry is the rule by which a group's offsets expire. Source:
// OffsetExpirationCondition, KIP-211.
type expiry int8

const (
	expiryNone        expiry = iota // members may still need them
	expirySinceEmpty                // from the moment the group became empty
	expirySinceCommit               // each from its commit: standalone, or no longer subscribed
)

// expiryRule is the rule for a group in its present state.
func (g *group) expiryRule() expiry {
	switch {
	case g.protocolType == "":
		return expirySinceCommit
	case g.state == Empty:
		return expirySinceEmpty
	case g.state == Stable && g.protocolType == consumerProtocol && g.subscribed != nil:
		return expirySinceCommit
	default:
		return expiryNone
	}
}

// expired says whether an offset of the group is past its retention, in ms.
func (g *group) expired(rule expiry, p partition, c committed, nowMs, retentionMs int64) bool {
	if rule == expiryNone || g.subscribes(p.topic) {
		return false
	}
	if c.expireMs >= 0 {
		return nowMs >= c.expireMs
	}
	since := c.commitMs
	if rule == expirySinceEmpty && g.stateSince >= 0 {
		since = g.stateSince
	}
	return nowMs-since >= retentionMs
}
