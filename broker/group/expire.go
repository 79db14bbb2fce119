package group

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

// maxTombstoneBytes bounds the batch of tombstones that one update appends.
const maxTombstoneBytes = 256 << 10

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

// expired says whether an offset of the group is past its retention.
func (g *group) expired(p partition, c committed, now time.Time, retention time.Duration) bool {
	rule := g.expiryRule()
	if rule == expiryNone || g.subscribes(p.topic) {
		return false
	}
	if c.expireMs >= 0 {
		return now.UnixMilli() >= c.expireMs
	}
	since := c.commitMs
	if rule == expirySinceEmpty && g.stateSince >= 0 {
		since = g.stateSince
	}
	return now.UnixMilli()-since >= retention.Milliseconds()
}

// A DeletedTopic is a topic that is no more.
type DeletedTopic struct {
	Name string
	ID   [16]byte
}

// TopicsDeleted removes the offsets that were committed for these topics, so
// that a topic created again under the same name shows none of them (hard-36).
// Partitions of __consumer_offsets that this node does not coordinate are left
// to their coordinator, and one that loads looks for them at its end.
func (c *Coordinator) TopicsDeleted(ctx context.Context, topics []DeletedTopic) error {
	byName := make(map[string][16]byte, len(topics))
	for _, t := range topics {
		byName[t.Name] = t.ID
	}
	doomed := func(_ *group, p partition, o committed) bool {
		id, ok := byName[p.topic]
		return ok && (o.topicID == [16]byte{} || o.topicID == id)
	}
	var errs []error
	for _, s := range c.allServed() {
		if err := s.sweep(ctx, sweep{doomed: doomed}); !errors.Is(err, kerr.NotCoordinator) && !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// clean removes what has expired, what belongs to deleted topics, and groups
// that hold nothing any more.
func (s *served) clean(ctx context.Context) error {
	now := time.Now()
	return s.sweep(ctx, sweep{groups: true, doomed: func(g *group, p partition, o committed) bool {
		return s.ofDeletedTopic(g, p, o) || g.expired(p, o, now, s.c.config.OffsetsRetention)
	}})
}

// cleanTopics removes what belongs to deleted topics: they may have been deleted
// while nobody coordinated.
func (s *served) cleanTopics(ctx context.Context) error {
	return s.sweep(ctx, sweep{doomed: s.ofDeletedTopic})
}

func (s *served) ofDeletedTopic(_ *group, _ partition, o committed) bool {
	return o.topicID != [16]byte{} && s.c.config.Topics.Deleted(o.topicID)
}

// A sweep removes offsets, and perhaps the groups that are left with none.
type sweep struct {
	doomed func(g *group, p partition, c committed) bool
	groups bool
}

// tombstones is what sw removes of a group now, at most about maxTombstoneBytes
// of it; more says that there is more to remove. While a transaction is open the
// group keeps everything but what belongs to deleted topics (hard-19).
func (sw sweep) tombstones(v *view, g *group, now time.Time) (records []record.Record, more bool) {
	if sw.groups && v.offsets.hasPending(g.id) {
		return nil, false
	}
	size, left := 0, false
	for p, c := range v.offsets.all(g.id) {
		if !sw.doomed(g, p, c) {
			left = true
			continue
		}
		if size >= maxTombstoneBytes {
			return records, true
		}
		r := offsetTombstone(g.id, p, now)
		size += recordSize(r)
		records = append(records, r)
	}
	if sw.groups && !left && g.stored && g.vacant() {
		records = append(records, metadataTombstone(g.id, now))
	}
	return records, false
}

// vacant says that nobody is in the group or about to join.
func (g *group) vacant() bool { return g.state == Empty && len(g.pendingJoin) == 0 }

// sweep removes from every group of the partition what sw says, one group at a
// time, so that nobody waits long for the view lock.
func (s *served) sweep(ctx context.Context, sw sweep) error {
	var ids []string
	err := s.shard.View(ctx, func(v *view) { ids = slices.Collect(maps.Keys(v.groups)) })
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.removeFrom(ctx, id, func(v *view, g *group) ([]record.Record, bool, error) {
			records, more := sw.tombstones(v, g, time.Now())
			return records, more, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// forgetVacant drops a group of which neither the log nor a member knows.
func (v *view) forgetVacant(g *group) (forgotten bool) {
	if !g.vacant() || g.stored || v.offsets.has(g.id) {
		return false
	}
	v.discard(g)
	return true
}

// removeFrom appends the tombstones that choose returns, batch by batch while it
// says that there are more. choose is not called for a group that is gone.
func (s *served) removeFrom(ctx context.Context, id string, choose func(v *view, g *group) (records []record.Record, more bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.config.OffsetCommitTimeout)
	defer cancel()
	for more := true; more; {
		_, err := s.shard.Update(ctx, id, func(v *view, _ int32) (shard.Write, error) {
			more = false
			g := v.groups[id]
			if g == nil {
				return shard.Write{}, nil
			}
			records, again, err := choose(v, g)
			more = again
			return shard.Write{Records: records}, err
		})
		if err != nil {
			return err
		}
	}
	return s.shard.View(ctx, func(v *view) {
		if g := v.groups[id]; g != nil {
			v.forgetVacant(g)
		}
	})
}
