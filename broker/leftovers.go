package broker

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// removeLeftovers deletes the partitions of topics that were deleted while this
// broker was down and the replicas that moved elsewhere, or whose removal a crash
// cut short. It runs once, at the start. The metadata must be as new as the
// controller's: a replica may have come back since.
func (b *Broker) removeLeftovers(ctx context.Context, dir string) error {
	entries, err := b.cfg.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	image := b.image()
	for _, entry := range entries {
		name, removed := log.RemovedFolder(entry.Name())
		if removed {
			if err := b.cfg.FS.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				b.logger.Warn("what is left of a replica that was removed stays on disk", "folder", entry.Name(), "error", err)
			}
		}
		id, ok := partitionOf(name)
		if !ok || !entry.IsDir() || id.TopicID == cluster.MetadataTopicID {
			continue
		}
		if t, alive := image.TopicByID(id.TopicID); alive {
			if int(id.Partition) >= len(t.Partitions) || slices.Contains(t.Partitions[id.Partition].Replicas, b.nodeID()) || !b.caughtUp {
				continue
			}
			if err := b.removePartition(ctx, id); err != nil {
				b.logger.Warn("files of a replica that moved elsewhere stay on disk", "folder", entry.Name(), "error", err)
			}
			continue
		}
		if _, dead := image.Dead(id.TopicID); !dead {
			b.logger.Warn("a partition belongs to no topic; its files stay", "folder", entry.Name())
			continue
		}
		if err := b.removePartition(ctx, id); err != nil {
			b.logger.Warn("files of a deleted partition stay on disk", "folder", entry.Name(), "error", err)
		}
	}
	return nil
}

// removePartition opens a partition to delete it with all that the node keeps
// of it.
func (b *Broker) removePartition(ctx context.Context, id replication.PartitionID) error {
	spec := replication.Spec{ID: id, Topic: "(deleted)", Joins: true, Log: log.Config{}}
	if _, err := b.node.OpenPartition(ctx, spec); err != nil {
		return err
	}
	return b.node.DeletePartition(ctx, id)
}

// partitionOf reads the name of a partition's folder: topic id as hex, a dash,
// the partition.
func partitionOf(name string) (replication.PartitionID, bool) {
	text, number, ok := strings.Cut(name, "-")
	id, err := hex.DecodeString(text)
	partition, notNumber := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil || len(id) != 16 || notNumber != nil || partition < 0 {
		return replication.PartitionID{}, false
	}
	return replication.PartitionID{TopicID: [16]byte(id), Partition: int32(partition)}, true
}
