package log

import (
	"fmt"
	"testing"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// BenchmarkAppend stores one batch a call on the operating system's disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 100 << 10} {
		b.Run(fmt.Sprintf("batch=%dKiB", size>>10), func(b *testing.B) {
			l := benchLog(b)
			batch := data(1, 0, 0, 1, size-record.HeaderSize-12, false)
			entries := []Entry{{Term: 1, Kind: KindBatch, Data: batch, LeaderAppend: true}}
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				entries[0].Index = l.LastIndex() + 1
				if err := l.Append(entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead reads 1 MiB at a time, going on where the last read ended.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		for _, sequential := range []bool{true, false} {
			b.Run(fmt.Sprintf("batch=%dKiB/sequential=%v", size>>10, sequential), func(b *testing.B) {
				l := benchLog(b)
				for range (64 << 20) / size {
					put(b, l, plain(1, size-record.HeaderSize-12))
				}
				benchRead(b, l, sequential)
			})
		}
	}
}

func benchRead(b *testing.B, l *Log, sequential bool) {
	const maxBytes = 1 << 20
	buf := make([]byte, 0, maxBytes+(64<<10))
	step := int64(7919)
	b.SetBytes(maxBytes)
	b.ReportAllocs()
	for from := int64(0); b.Loop(); {
		got, err := l.Read(buf, from, l.EndOffset(), maxBytes, true)
		if err != nil || len(got) == 0 {
			b.Fatal(len(got), err)
		}
		last, at := int64(0), 0
		for at < len(got) {
			batch := record.Batch(got[at:])
			last, at = batch.NextOffset(), at+batch.Size()
		}
		from = last
		if !sequential {
			from += step
		}
		if from += maxBytes / 1024; from >= l.EndOffset() {
			from = 0
		} else {
			from -= maxBytes / 1024
		}
	}
}

func benchLog(b *testing.B) *Log {
	b.Helper()
	l, err := Open(b.TempDir(), Config{RetentionBytes: Unlimited}, Options{FS: vfs.OS})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// BenchmarkOpen reopens a log of the given number of batches, closed well or not.
func BenchmarkOpen(b *testing.B) {
	for _, batches := range []int{0, 50_000} {
		b.Run(fmt.Sprintf("batches=%d", batches), func(b *testing.B) {
			dir := b.TempDir()
			l := openOn(b, dir, vfs.OS, Config{})
			for range batches {
				put(b, l, plain(1, 100))
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				l, err := Open(dir, Config{}, Options{FS: vfs.OS})
				if err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreate makes a new log with its first two entries, as a new partition does.
func BenchmarkCreate(b *testing.B) {
	dir := b.TempDir()
	n := 0
	for b.Loop() {
		n++
		l, err := Open(fmt.Sprintf("%s/%d", dir, n), Config{}, Options{FS: vfs.OS})
		if err != nil {
			b.Fatal(err)
		}
		putKind(b, l, 1, KindConfiguration, []byte("voters"))
		putKind(b, l, 2, KindNoop, nil)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRow looks rows up that are not in memory any more.
func BenchmarkRow(b *testing.B) {
	l := benchLog(b)
	for range 20_000 {
		put(b, l, plain(1, 10))
	}
	b.ReportAllocs()
	for index := uint64(1); b.Loop(); index = index%15_000 + 1 {
		if _, err := l.Row(index); err != nil {
			b.Fatal(err)
		}
	}
}
