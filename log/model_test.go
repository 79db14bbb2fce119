package log

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// modelEntry is what the model remembers of an entry.
type modelEntry struct {
	row   Row // without positions
	bytes []byte
}

// logModel is the log as a slice, beside the real one.
type logModel struct {
	fs      *vfs.Mem
	log     *Log
	cfg     Config
	entries []modelEntry
	synced  int // entries that a power loss must not take
	term    uint64
	seq     map[int64]int32
	epoch   map[int64]int16
}

func (m *logModel) open(t *rapid.T) {
	l, err := Open(filepath.FromSlash(testDir), m.cfg, Options{FS: m.fs})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.log = l
}

func (m *logModel) end() int64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].row.NextOffset()
}

// Append stores one to four entries of any kind.
func (m *logModel) Append(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "new term") == 0 {
		m.term++
	}
	var entries []Entry
	others := false
	for i := range rapid.IntRange(1, 4).Draw(t, "entries") {
		e := Entry{Index: uint64(len(m.entries) + i + 1), Term: m.term, Kind: KindBatch, LeaderAppend: true}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			e.Kind = KindNoop
		case 1:
			e.Kind, e.Data = KindConfiguration, []byte(strings.Repeat(fmt.Sprintf("configuration %d", e.Index), rapid.IntRange(1, 3).Draw(t, "size")))
		case 2:
			e.Kind = KindVoid
		default:
			e.Data = m.batch(t)
		}
		// As raft does, a term begins with an entry that is no batch.
		if i == 0 && e.Kind == KindBatch && (len(m.entries) == 0 || m.entries[len(m.entries)-1].row.Term != m.term) {
			e.Kind, e.Data = KindNoop, nil
		}
		others = others || e.Kind != KindBatch
		entries = append(entries, e)
	}
	if err := m.log.Append(entries); err != nil {
		t.Fatalf("append: %v", err)
	}
	m.note(t, entries)
}

func (m *logModel) note(t *rapid.T, entries []Entry) {
	for _, e := range entries {
		row := Row{Index: e.Index, Term: e.Term, Kind: e.Kind, BaseOffset: m.end(), ProducerID: -1}
		if e.Kind == KindBatch {
			var err error
			if row, err = batchRow(record.Batch(e.Data)); err != nil {
				t.Fatal(err)
			}
			row.Index, row.Term = e.Index, e.Term
		}
		m.entries = append(m.entries, modelEntry{row, bytes.Clone(e.Data)})
	}
}

// batch draws a plain batch, one of a producer, or a marker.
func (m *logModel) batch(t *rapid.T) record.Batch {
	n, size := rapid.IntRange(1, 3).Draw(t, "records"), rapid.IntRange(0, 120).Draw(t, "size")
	pid := rapid.Int64Range(-1, 3).Draw(t, "producer")
	if pid < 0 {
		return plain(n, size)
	}
	if rapid.IntRange(0, 3).Draw(t, "marker") == 0 {
		if rapid.Bool().Draw(t, "bump") {
			m.epoch[pid]++
			m.seq[pid] = 0
		}
		return marker(pid, m.epoch[pid], rapid.Bool().Draw(t, "commit"), int32(m.term))
	}
	b := data(pid, m.epoch[pid], m.seq[pid], n, size, rapid.Bool().Draw(t, "transactional"))
	m.seq[pid] = record.AddSequence(m.seq[pid], int32(n))
	return b
}

// Truncate removes a suffix; the next term begins, as after a change of leader.
func (m *logModel) Truncate(t *rapid.T) {
	if len(m.entries) == 0 {
		return
	}
	keep := rapid.IntRange(0, len(m.entries)).Draw(t, "keep")
	if err := m.log.TruncateSuffix(uint64(keep + 1)); err != nil {
		t.Fatalf("truncate: %v", err)
	}
	m.cut(keep)
	m.term++
}

func (m *logModel) cut(keep int) {
	m.entries = m.entries[:keep]
	m.synced = min(m.synced, keep)
}

// Sync makes everything last.
func (m *logModel) Sync(t *rapid.T) {
	if err := m.log.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
	m.synced = len(m.entries)
}

// Reopen closes and opens.
func (m *logModel) Reopen(t *rapid.T) {
	if err := m.log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.synced = len(m.entries)
	m.open(t)
}

// Crash takes unsynced bytes away; what is left must be a prefix with all that was synced.
func (m *logModel) Crash(t *rapid.T) {
	mode := rapid.SampledFrom([]vfs.CrashMode{vfs.Killed, vfs.Lost, vfs.Partly, vfs.Torn}).Draw(t, "mode")
	m.log.tasks.Wait()
	m.fs.Crash(mode, rapid.Uint64().Draw(t, "seed"))
	m.open(t)
	left := int(m.log.LastIndex())
	least := m.synced
	if mode == vfs.Killed {
		least = len(m.entries)
	}
	if left < least || left > len(m.entries) {
		t.Fatalf("after crash %d: last index %d, want %d to %d", mode, left, least, len(m.entries))
	}
	m.cut(left)
	m.term++
}

// Check compares everything readable.
func (m *logModel) Check(t *rapid.T) {
	l := m.log
	if got, want := l.LastIndex(), uint64(len(m.entries)); got != want {
		t.Fatalf("last index %d, want %d", got, want)
	}
	if got := l.EndOffset(); got != m.end() {
		t.Fatalf("log end %d, want %d", got, m.end())
	}
	for i, want := range m.entries {
		got, err := l.Row(uint64(i + 1))
		if err != nil {
			t.Fatalf("row %d: %v", i+1, err)
		}
		if got.Kind != want.row.Kind || got.Term != want.row.Term || got.BaseOffset != want.row.BaseOffset || got.Count != want.row.Count {
			t.Fatalf("row %d: %+v, want %+v", i+1, got, want.row)
		}
		payload, err := l.Payload(got, nil)
		if err != nil || want.row.Kind != KindVoid && !bytes.Equal(payload, want.bytes) {
			t.Fatalf("payload %d: %x (%v), want %x", i+1, payload, err, want.bytes)
		}
	}
	if from := rapid.Int64Range(0, m.end()).Draw(t, "from"); from < m.end() {
		m.checkRead(t, from)
	}
	m.checkState(t)
}

func (m *logModel) checkRead(t *rapid.T, from int64) {
	maxBytes := rapid.IntRange(0, 2000).Draw(t, "max bytes")
	upTo := m.entries[rapid.IntRange(0, len(m.entries)-1).Draw(t, "up to")].row.NextOffset()
	var want []byte
	for _, e := range m.entries {
		if e.row.Kind != KindBatch || e.row.NextOffset() <= from {
			continue
		}
		if e.row.NextOffset() > upTo || len(want) > 0 && len(want)+len(e.bytes) > maxBytes {
			break
		}
		want = append(want, e.bytes...)
	}
	got, err := m.log.Read(nil, from, upTo, maxBytes, true)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read from %d up to %d, %d bytes: got %d bytes (%v), want %d", from, upTo, maxBytes, len(got), err, len(want))
	}
}

// checkState compares what follows from rows with what follows from the model.
func (m *logModel) checkState(t *rapid.T) {
	want := state{producers: newProducers()}
	var aborted []AbortedTxn
	for _, e := range m.entries {
		if txn, ok := want.add(e.row, time.Time{}); ok {
			aborted = append(aborted, txn)
		}
	}
	m.log.mu.Lock()
	got := m.log.state
	m.log.mu.Unlock()
	if diff := cmp.Diff(describeAll(want.producers), describeAll(got.producers)); diff != "" {
		t.Fatalf("producers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]EpochStart(want.epochs), []EpochStart(got.epochs)); diff != "" && len(want.epochs)+len(got.epochs) > 0 {
		t.Fatalf("epochs (-want +got):\n%s", diff)
	}
	list, err := m.log.Aborted(0, m.end(), nil)
	if err != nil {
		t.Fatalf("aborted: %v", err)
	}
	if diff := cmp.Diff(aborted, list); diff != "" {
		t.Fatalf("aborted (-want +got):\n%s", diff)
	}
	hw := rapid.Int64Range(0, m.end()).Draw(t, "hw")
	if got, want := m.log.LastStableOffset(hw), want.producers.lastStableOffset(hw); got != want {
		t.Fatalf("last stable offset at %d: %d, want %d", hw, got, want)
	}
}

// describeAll is the whole producer state but for the local clock.
func describeAll(s *producers) string {
	text := fmt.Sprintln(s.open)
	for _, p := range s.describe() {
		whole := s.get(p.ProducerID)
		text += fmt.Sprintln(p, whole.window[:whole.count])
	}
	return text
}

func TestLogAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &logModel{fs: newDisk(), cfg: Config{SegmentBytes: 700, IndexIntervalBytes: 150}, seq: map[int64]int32{}, epoch: map[int64]int16{}, term: 1}
		m.open(t)
		defer func() {
			if err := m.log.Close(); err != nil && !errors.Is(err, vfs.ErrCrashed) {
				t.Fatal(err)
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.Append, "append again": m.Append, "append more": m.Append,
			"truncate": m.Truncate, "sync": m.Sync, "reopen": m.Reopen, "crash": m.Crash, "": m.Check,
		})
	})
}
