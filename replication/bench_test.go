package replication

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/record"
)

func sizedBatch(size int) record.Batch {
	b := record.NewBuilder(record.NoProducer())
	b.Append(record.Record{Timestamp: 1, Value: make([]byte, size)})
	return b.Build()
}

// BenchmarkLogAppend is the bare log: what BenchmarkAppend is measured against.
func BenchmarkLogAppend(b *testing.B) {
	l, err := log.Open(b.TempDir(), log.Config{}, log.Options{})
	if err != nil {
		b.Fatal(err)
	}
	batch := sizedBatch(1024)
	index := uint64(0)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		index++
		if err := l.Append([]log.Entry{{Index: index, Term: 1, Kind: log.KindBatch, Data: batch, LeaderAppend: true}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		acks  int16
		fsync Fsync
	}{{1, FsyncNever}, {-1, FsyncNever}, {-1, FsyncAlways}} {
		for _, parallel := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("batch=1KiB/acks=%d/fsync=%s/callers=%d", c.acks, c.fsync, parallel), func(b *testing.B) {
				n, p := benchPartition(b, c.fsync)
				acks := c.acks
				b.SetBytes(1024)
				b.ReportAllocs()
				b.SetParallelism(max(1, parallel/runtime.GOMAXPROCS(0)))
				if parallel == 1 {
					batch := sizedBatch(1024)
					for b.Loop() {
						benchAppend(b, p, batch, acks)
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						batch := sizedBatch(1024)
						for pb.Next() {
							benchAppend(b, p, batch, acks)
						}
					})
				}
				b.StopTimer()
				if err := n.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func benchAppend(b *testing.B, p *Partition, batch record.Batch, acks int16) {
	if _, err := p.Append(b.Context(), Append{Batch: batch, Acks: acks}); err != nil {
		b.Error(err)
	}
}

func benchPartition(b *testing.B, policy Fsync) (*Node, *Partition) {
	n, err := Open(Config{NodeID: 1, Dir: b.TempDir(), Fsync: policy})
	if err != nil {
		b.Fatal(err)
	}
	p, err := n.OpenPartition(b.Context(), Spec{ID: PartitionID{TopicID: [16]byte{1}}, Topic: "bench", Voters: []int32{1}})
	if err != nil {
		b.Fatal(err)
	}
	if err := p.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	return n, p
}

// BenchmarkOpenGroups is the start of a node with many single-voter groups:
// created, and opened again.
func BenchmarkOpenGroups(b *testing.B) {
	for _, groups := range []int32{1, 50, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			for b.Loop() {
				dir := b.TempDir()
				for _, when := range []string{"create", "reopen"} {
					start := time.Now()
					n, err := Open(Config{NodeID: 1, Dir: dir})
					if err != nil {
						b.Fatal(err)
					}
					openGroups(b, n, groups)
					b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms-"+when)
					start = time.Now()
					if err := n.Close(b.Context()); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms-close-after-"+when)
				}
			}
		})
	}
}

// openGroups opens partitions from 32 goroutines and waits until all lead.
func openGroups(tb testing.TB, n *Node, groups int32) {
	var next atomic.Int32
	done := make(chan error, 32)
	for range 32 {
		go func() {
			for {
				i := next.Add(1) - 1
				if i >= groups {
					done <- nil
					return
				}
				if _, err := n.OpenPartition(tb.Context(), Spec{ID: PartitionID{TopicID: [16]byte{1}, Partition: i}, Topic: "many", Voters: []int32{1}}); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range 32 {
		if err := <-done; err != nil {
			tb.Fatal(err)
		}
	}
	for _, p := range n.all() {
		if err := p.WaitReady(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}
