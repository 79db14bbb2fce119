package shard_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

func BenchmarkUpdate(b *testing.B) {
	for _, parallel := range []int{1, 16} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			p := shardtest.New()
			r := &rig{Partition: p, Shard: shard.Open(b.Context(), p, func(int32) *kv { return &kv{values: map[string]string{}} }, shard.Options[*kv]{})}
			defer r.Close()
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				key := fmt.Sprint(n.Add(1))
				for pb.Next() {
					offset, err := r.set(b.Context(), key, "value")
					if err != nil {
						b.Fatal(err)
					}
					if offset%1000 == 0 {
						p.Trim(offset - 1000) // the partition in memory is a list
					}
				}
			})
		})
	}
}
