package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/oncelog/oncelog/broker/group"
	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/oncelog/oncelog/replication/shard"
	"golang.org/x/sync/errgroup"
)

// openAtOnce bounds how many partitions are opened together, and removeAtOnce how
// many are removed, for which nobody waits; they share syncs.
const (
	openAtOnce   = 64
	removeAtOnce = 8
)

// open makes the topic of an image from the one before, if there was one.
// Partitions that are new are opened by tasks.
func (t *topics) open(ctx context.Context, tasks *errgroup.Group, was *topic, one *cluster.Topic, s *settings) *topic {
	next := &topic{Topic: one, partitions: make([]*replication.Partition, len(one.Partitions)), counters: t.b.metrics.topic(one.Name)}
	var err error
	if next.settings, err = resolveTopic(one.Configs, s); err != nil {
		t.b.logger.Warn("topic settings are not understood; defaults are used", "topic", one.Name, "error", err)
		if next.settings, err = resolveTopic(nil, s); err != nil {
			panic(fmt.Sprintf("broker: checked settings do not resolve: %v", err))
		}
	}
	config := next.settings.logConfig(s)
	for i := range one.Partitions {
		if !next.isHere(i, s.nodeID) {
			continue // others hold it
		}
		if was != nil && i < len(was.partitions) && was.partitions[i] != nil && !renewed(was.partitions[i], &one.Partitions[i]) {
			next.partitions[i] = was.partitions[i]
			next.partitions[i].SetConfig(config)
			next.partitions[i].SetPreferred(one.Partitions[i].Replicas)
			continue
		}
		tasks.Go(func() error {
			if was != nil && i < len(was.partitions) {
				t.close(ctx, was, i)
			}
			p, err := t.openPartition(ctx, next, int32(i), config, s)
			if err != nil {
				t.b.logger.Error("partition is offline: it cannot be opened", "topic", one.Name, "partition", i, "error", err)
			}
			next.partitions[i] = p
			return nil
		})
	}
	return next
}

func (t *topics) openPartition(ctx context.Context, one *topic, i int32, config log.Config, s *settings) (*replication.Partition, error) {
	id := replication.PartitionID{TopicID: one.ID, Partition: i}
	founders := one.Partitions[i].FoundedBy()
	p, err := t.b.node.OpenPartition(ctx, replication.Spec{
		ID: id, Topic: one.Name, Voters: founders, Joins: !slices.Contains(founders, s.nodeID), Existed: !t.b.following.Load() || !t.b.caughtUp, Log: config,
		Recovery: pastOf(&one.Partitions[i]),
	})
	if err != nil {
		return nil, err
	}
	p.SetPreferred(one.Partitions[i].Replicas)
	switch one.Name {
	case offsetsTopic:
		err = t.b.groups.Lead(i, shard.OnReplica(p, s.nodeID, one.minInSync(i)))
	case txnTopic:
		t.b.txns.Lead(i, shard.OnReplica(p, s.nodeID, one.minInSync(i)))
	}
	return p, err
}

// removeMoved removes the replicas that are elsewhere now.
func (t *topics) removeMoved(ctx context.Context, was, now *topic) {
	for i := range was.partitions {
		if was.partitions[i] == nil || now.partitions[i] != nil {
			continue
		}
		t.resign(was, i)
		t.remove(ctx, was, i)
		t.b.logger.Info("replica removed", "topic", was.Name, "partition", i, "replicas", now.Partitions[i].Replicas)
	}
}

// resign takes a partition from its coordinator.
func (t *topics) resign(was *topic, partition int) {
	switch was.Name {
	case offsetsTopic:
		t.b.groups.Resign(int32(partition))
	case txnTopic:
		t.b.txns.Resign(int32(partition))
	}
}

// close closes a replica of this node, if it has one, that is to be opened again
// in another generation.
func (t *topics) close(ctx context.Context, was *topic, partition int) {
	p := was.partitions[partition]
	if p == nil {
		return
	}
	t.resign(was, partition)
	if err := t.b.node.ClosePartition(ctx, p.ID()); err != nil {
		t.b.logger.Warn("replica of an older generation did not close well", "topic", was.Name, "partition", partition, "error", err)
	}
}

// remove closes a replica of this node, if it has one, and removes its files.
func (t *topics) remove(ctx context.Context, was *topic, partition int) {
	p := was.partitions[partition]
	if p == nil {
		return
	}
	if err := t.b.node.DeletePartition(ctx, p.ID()); err != nil {
		t.b.logger.Warn("files of a removed replica stay on disk", "topic", was.Name, "topic_id", was.ID, "partition", partition, "error", err)
	}
}

// removeAll removes the replicas of deleted topics, whose ids never come back. It
// may take seconds, which the metadata does not wait for; together the removals
// share their syncs.
func (t *topics) removeAll(ctx context.Context, deleted []*topic) {
	var tasks errgroup.Group
	tasks.SetLimit(removeAtOnce)
	for _, was := range deleted {
		for i := range was.partitions {
			tasks.Go(func() error {
				t.remove(ctx, was, i)
				return nil
			})
		}
	}
	_ = tasks.Wait() // its tasks log what fails
}

// deleteGone has the partitions of topics removed that the new set lacks, and
// removes the replicas that moved elsewhere.
func (t *topics) deleteGone(ctx context.Context, old, next *topicSet) {
	var gone []group.DeletedTopic
	var deleted []*topic
	for id, was := range old.ids {
		if now := next.ids[id]; now != nil {
			t.removeMoved(ctx, was, now)
			continue
		}
		if next.names[was.Name] == nil {
			t.b.metrics.forget(was.Name)
		}
		gone = append(gone, group.DeletedTopic{Name: was.Name, ID: id})
		deleted = append(deleted, was)
	}
	if len(gone) == 0 {
		return
	}
	t.b.tasks.Go(func() { t.removeAll(ctx, deleted) })
	t.b.tasks.Go(func() {
		if err := t.b.groups.TopicsDeleted(ctx, gone); err != nil && ctx.Err() == nil {
			t.b.logger.Warn("committed offsets of deleted topics stay until the next sweep", "error", err)
		}
	})
}
