package shard

import (
	"context"
	"errors"
	"fmt"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
)

// replica is a replicated partition as shards see it.
type replica struct {
	p         *replication.Partition
	node      int32
	minInSync int16
}

// OnReplica is the Partition over this node's replica. minInSync is
// min.insync.replicas of the internal topic, 0 for 1.
func OnReplica(p *replication.Partition, node int32, minInSync int16) Partition {
	return replica{p: p, node: node, minInSync: max(minInSync, 1)}
}

func (r replica) Leadership() Leadership {
	l := r.p.Leadership()
	return Leadership{Leading: l.Ready || l.Leader == r.node || l.Leader < 0, Ready: l.Ready, Fenced: l.Ready && r.p.Fenced(), Epoch: l.Epoch}
}

func (r replica) StartOffset() int64     { return r.p.StartOffset() }
func (r replica) HighWatermark() int64   { return r.p.HighWatermark() }
func (r replica) EndOffset() int64       { return r.p.EndOffset() }
func (r replica) Moved() <-chan struct{} { return r.p.Moved() }

func (r replica) Guard(producerID int64) Guard { return r.p.Guard(producerID) }

func (r replica) Append(ctx context.Context, batch record.Batch, opts AppendOptions) (int64, error) {
	guard, _ := opts.Guard.(*replication.Guard)
	done, err := r.p.Append(ctx, replication.Append{
		Batch: batch, Acks: -1, MinInSync: r.minInSync,
		Epoch: opts.Epoch, Guard: guard, TV2: opts.TV2, Coordinator: true,
	})
	if errors.Is(err, replication.ErrRefused) {
		return -1, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return done.BaseOffset, err
}

func (r replica) Read(dst []byte, from, upTo int64, maxBytes int) ([]byte, error) {
	return r.p.Log().Read(dst, from, upTo, maxBytes, true)
}
