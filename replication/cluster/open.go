package cluster

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
)

// Open opens the metadata partition on a node and the metadata over it. Closing
// the node closes the partition; close the metadata before.
//
// voters are the nodes that found the metadata, none: this node alone, unless it
// joins a cluster that is there already (Config.Joins). fs is where cfg.Dir
// lies: on any but the operating system's there is no state file.
func Open(ctx context.Context, node *replication.Node, voters []int32, fs vfs.FS, cfg Config) (*Metadata, error) {
	if len(voters) == 0 && !cfg.Joins {
		voters = []int32{cfg.NodeID}
	}
	p, err := node.OpenPartition(ctx, replication.Spec{
		ID:      replication.PartitionID{TopicID: MetadataTopicID},
		Topic:   MetadataTopic,
		Voters:  voters,
		Joins:   cfg.Joins,
		Existed: true, // for all that this node knows before it has asked the others
		Log:     log.Config{Retention: log.Unlimited, RetentionBytes: log.Unlimited},
		Prompt:  true, // a node that asked for a change waits until it sees it
		Sync:    true, // what a power cut took back would be granted again: producer ids above all (hard-39)
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", MetadataTopic, err)
	}
	if fs != nil && fs != vfs.OS {
		cfg.Dir = ""
	}
	cfg.Leader, cfg.WaitLed = func() int32 { return p.Leadership().Serving() }, p.WaitLed
	m, err := OpenOn(ctx, shard.OnReplica(p, cfg.NodeID, 1), cfg)
	if err != nil {
		return nil, err
	}
	m.group = p
	return m, nil
}
