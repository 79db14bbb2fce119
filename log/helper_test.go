package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

const testDir = "data/topic-0"

// newDisk is an empty disk with a lasting data directory.
func newDisk() *vfs.Mem {
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll("data", dirPerm), fs.SyncDir(".")); err != nil {
		panic(err)
	}
	return fs
}

func mustOpen(t testing.TB, fs vfs.FS, cfg Config) *Log {
	t.Helper()
	return openOn(t, filepath.FromSlash(testDir), fs, cfg)
}

func openOn(t testing.TB, dir string, fs vfs.FS, cfg Config) *Log {
	t.Helper()
	l, err := Open(dir, cfg, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// data makes a batch of n records with one value size.
func data(pid int64, epoch int16, sequence int32, n, valueSize int, transactional bool) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: transactional})
	for i := range n {
		b.Append(record.Record{Timestamp: 1000 + int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, valueSize)})
	}
	return b.Build()
}

func plain(n, valueSize int) record.Batch { return data(-1, -1, -1, n, valueSize, false) }

func marker(pid int64, epoch int16, commit bool, coordinatorEpoch int32) record.Batch {
	return record.NewMarker(pid, epoch, record.Control{Commit: commit, CoordinatorEpoch: coordinatorEpoch}, time.Now().UnixMilli())
}

// put appends one batch as a leader of the log's last term, or of term 1.
func put(t testing.TB, l *Log, b record.Batch) int64 {
	t.Helper()
	entries := []Entry{{Index: l.LastIndex() + 1, Term: max(l.LastTerm(), 1), Kind: KindBatch, Data: b, LeaderAppend: true}}
	if err := l.Append(entries); err != nil {
		t.Fatal(err)
	}
	return entries[0].BaseOffset
}

func putKind(t testing.TB, l *Log, term uint64, kind Kind, payload []byte) {
	t.Helper()
	if err := l.Append([]Entry{{Index: l.LastIndex() + 1, Term: term, Kind: kind, Data: payload}}); err != nil {
		t.Fatal(err)
	}
}
