package group

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// A guarded partition takes transactional batches under its newest guard only,
// as a replica does when a marker has destroyed the others.
type guarded struct {
	*shardtest.Partition
	newest int
}

func (g *guarded) Guard(int64) shard.Guard { return g.newest }

func (g *guarded) Append(ctx context.Context, b record.Batch, o shard.AppendOptions) (int64, error) {
	if b.IsTransactional() && o.Guard != g.newest {
		return -1, fmt.Errorf("%w: %w", shard.ErrRefused, replication.ErrGuardGone)
	}
	return g.Partition.Append(ctx, b, o)
}

// hard-07: when a marker comes between the coordinator's answer and the append,
// a client of KIP-890 is verified again; an older one is told.
func TestHard07GuardGoneBeforeTheAppend(t *testing.T) {
	for _, c := range []struct {
		name     string
		version  int16
		markers  int // that come after so many verifications
		verified int
		want     *kerr.Error
	}{
		{"no marker", 5, 0, 1, nil},
		{"v5 verifies again", 5, 1, 2, nil},
		{"v5 gives up", 5, 9, reverify, kerr.InvalidTxnState},
		{"v4", 4, 1, 1, kerr.TransactionAbortable},
		{"v3", 3, 1, 1, kerr.InvalidTxnState},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p *guarded
			verified := 0
			verify := func(_ context.Context, _ *kmsg.TxnOffsetCommitRequest, _ int32, guard func(int64) shard.Guard) (shard.Guard, error) {
				held := guard(7)
				if verified++; verified <= c.markers {
					p.newest++
				}
				return held, nil
			}
			bubble(t, Config{Verify: verify}, func(w *world) {
				w.c.Close()
				p = &guarded{Partition: w.p}
				coordinator, err := New(w.config)
				if err != nil {
					t.Fatal(err)
				}
				if err := coordinator.Lead(0, p); err != nil {
					t.Fatal(err)
				}
				w.c = coordinator
				member := w.client()
				want(t, "commit", member.commitInTxnAt(c.version, 7, 0, 0, 10), c.want)
				if verified != c.verified {
					t.Errorf("verified %d times, want %d", verified, c.verified)
				}
			})
		})
	}
}
