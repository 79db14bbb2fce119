package log

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// crashConfig rolls often and allows every way in which a log gets shorter.
var crashConfig = Config{SegmentBytes: 700, IndexIntervalBytes: 150, CleanupCompact: true, CleanupDelete: true, MinCleanableRatio: -1,
	DeleteRetention: time.Hour, Retention: Unlimited, ProducerExpiration: time.Hour}

// A crashRun is one life of a log under the workload. Its clock is the
// workload's, so that every run writes the same bytes.
type crashRun struct {
	fs   *vfs.Mem
	log  *Log
	cfg  Config
	term uint64
	now  time.Time
}

func (r *crashRun) open() (err error) {
	r.log, err = Open(filepath.FromSlash(testDir), r.cfg, Options{FS: r.fs})
	return err
}

// A crashStep changes the log once. sync says that everything lasts behind it.
type crashStep struct {
	name string
	sync bool
	run  func(r *crashRun) error
}

// crashWorkload does to a log all that is ever done to one: it rolls, changes
// terms, truncates over a segment edge and through a marker, ends transactions
// both ways, deletes records, retains, compacts with tombstones before and
// behind their horizon, forgets producers, and is closed and opened.
func crashWorkload() []crashStep {
	w := &crashScript{seq: map[int64]int32{}}
	w.begin()
	w.cleanTwice()
	w.shorten()
	w.afterwards()
	return w.steps
}

type crashScript struct {
	steps []crashStep
	seq   map[int64]int32
	made  int64 // batches so far: their timestamps rise
}

// members is a payload that no row has room for.
func members(list string) []byte { return []byte(list + strings.Repeat(" .", maxInline/2)) }

func (w *crashScript) begin() {
	w.add("noop", Entry{Kind: KindNoop})
	w.add("configuration and batch", Entry{Kind: KindConfiguration, Data: members("a b c")}, w.plain("a=1", "b=1"))
	for i := range 4 {
		w.add("data", w.of(7, true, fmt.Sprintf("a=%d", i), "c=1"))
	}
	w.sync()
	w.add("void between batches", w.plain("d=1"), Entry{Kind: KindVoid}, w.plain("d=2"))
	w.add("abort", w.marker(7, false))
	w.add("data", w.of(7, true, "e=1"), w.plain("f=1", "g=1", "h=1"))
	w.truncate(6)
	w.add("noop", Entry{Kind: KindNoop})
	w.add("data", w.of(7, true, "a=7", "b=7"))
	w.sync()
	for i := range 4 {
		w.add("data", w.plain("b="+fmt.Sprint(i), "i=1"))
	}
	w.sync()
	w.truncate(3)
	w.add("noop", Entry{Kind: KindNoop})
	w.add("data", w.plain("a=9", "j=1"), w.plain("k=1"))
	w.sync()
}

// cleanTwice compacts with and without a clean prefix, aborted transactions,
// tombstones and one transaction that is open over a roll.
func (w *crashScript) cleanTwice() {
	w.add("transaction", w.of(8, true, "a=10", "l=1"), w.of(8, true, "b=10"))
	w.add("commit", w.marker(8, true))
	w.add("aborted", w.of(9, true, "a=lost", "l=lost"))
	w.add("tombstones", w.plain("c", "d"), w.of(10, false, "e=2", "f=2"))
	w.add("abort", w.marker(9, false))
	w.fill(3)
	w.compact()
	w.add("open transaction", w.of(8, true, "m=1", "a=11"))
	w.fill(2)
	w.add("log start entry", Entry{Kind: KindLogStart, Data: LogStartPayload(5)})
	w.start("delete records", func(r *crashRun) int64 { return 5 })
	w.add("commit of another", w.of(9, true, "n=1"), w.marker(9, true))
	w.add("abort", w.marker(8, false))
	w.fill(3)
	w.reopen()
	w.compact()
	w.later(2 * time.Hour)
	w.step("expire", func(r *crashRun) error { r.log.ExpireProducers(time.Now().Add(2 * time.Hour)); return nil })
	w.add("data", w.plain("a=12"), w.of(17, false, "o=1"))
	w.fill(3)
	w.compact()
}

// shorten truncates behind a clean prefix and lets retention take what is old.
func (w *crashScript) shorten() {
	w.add("configuration", Entry{Kind: KindConfiguration, Data: members("a b c d")})
	w.fill(2)
	w.step("truncate", func(r *crashRun) error {
		r.term++
		return r.log.TruncateSuffix(r.log.LastIndex() - 2)
	})
	w.add("noop", Entry{Kind: KindNoop})
	w.fill(4)
	w.start("retention", func(r *crashRun) int64 {
		cfg := r.cfg
		cfg.RetentionBytes = 1500
		r.log.SetConfig(cfg)
		start, _ := r.log.RetentionStart(r.now, r.log.EndOffset())
		return start
	})
	w.sync()
	w.reopen()
}

// afterwards has other producers: of those before it is not known whether they
// are forgotten.
func (w *crashScript) afterwards() {
	w.add("transaction", w.of(18, true, "a=13"), w.of(19, true, "b=13"))
	w.fill(2)
	w.add("ends", w.marker(18, true), w.marker(19, false))
	w.start("delete everything", func(r *crashRun) int64 { return r.log.EndOffset() })
	w.add("noop", Entry{Kind: KindNoop})
	w.add("data", w.of(18, true, "a=14"))
	w.fill(3)
	w.add("abort", w.marker(18, false))
	w.compact()
	w.fill(2)
	w.compact()
	w.add("aborted over a roll", w.of(18, true, "p=1"), Entry{Kind: KindConfiguration, Data: []byte("a b")}, w.of(19, true, "p=2"))
	w.fill(1)
	w.add("abort", w.marker(18, false), w.marker(19, true), w.of(18, true, "q=1", "r=1"))
	w.fill(2)
	w.add("noop", Entry{Kind: KindNoop})
	w.add("abort", w.marker(18, false), Entry{Kind: KindConfiguration, Data: []byte("a b e")}, w.of(19, true, "s=1"))
	w.sync()
}

func (w *crashScript) step(name string, run func(r *crashRun) error) {
	w.steps = append(w.steps, crashStep{name: name, run: run})
}

// add appends entries; a noop begins a term.
func (w *crashScript) add(name string, entries ...Entry) {
	w.step(name, func(r *crashRun) error {
		if entries[0].Kind == KindNoop {
			r.term++
		}
		for i := range entries {
			entries[i].Index, entries[i].Term, entries[i].LeaderAppend = r.log.LastIndex()+uint64(i)+1, r.term, true
		}
		return r.log.Append(entries)
	})
}

// fill adds batches that go to segments of their own, almost.
func (w *crashScript) fill(n int) {
	for range n {
		w.add("filler", w.plain(fmt.Sprintf("filler=%0300d", w.made)))
	}
}

func (w *crashScript) sync() {
	w.steps = append(w.steps, crashStep{name: "sync", sync: true, run: func(r *crashRun) error { return r.log.Sync() }})
}

func (w *crashScript) reopen() {
	w.steps = append(w.steps, crashStep{name: "reopen", sync: true, run: func(r *crashRun) error {
		if err := r.log.Close(); err != nil {
			return err
		}
		return r.open()
	}})
}

func (w *crashScript) truncate(keep uint64) {
	w.step("truncate", func(r *crashRun) error { return r.log.TruncateSuffix(keep + 1) })
}

func (w *crashScript) compact() {
	w.step("compact", func(r *crashRun) error {
		_, err := r.log.Compact(context.Background(), everything(r.log, r.now))
		return err
	})
}

func (w *crashScript) start(name string, offset func(r *crashRun) int64) {
	w.step(name, func(r *crashRun) error { return r.log.ApplyStart(offset(r), r.log.EndOffset(), r.log.LastIndex()) })
}

func (w *crashScript) later(d time.Duration) {
	w.step("time goes by", func(r *crashRun) error { r.now = r.now.Add(d); return nil })
}

// time is that of the next batch, ms.
func (w *crashScript) time() int64 {
	w.made++
	return compactionTime.UnixMilli() + w.made
}

func (w *crashScript) plain(texts ...string) Entry {
	return Entry{Kind: KindBatch, Data: keyed(record.NoProducer(), w.time(), texts...)}
}

func (w *crashScript) of(pid int64, transactional bool, texts ...string) Entry {
	o := record.BuilderOptions{ProducerID: pid, BaseSequence: w.seq[pid], Transactional: transactional}
	w.seq[pid] += int32(len(texts))
	return Entry{Kind: KindBatch, Data: keyed(o, w.time(), texts...)}
}

func (w *crashScript) marker(pid int64, commit bool) Entry {
	return Entry{Kind: KindBatch, Data: record.NewMarker(pid, 0, record.Control{Commit: commit, CoordinatorEpoch: 1}, w.time())}
}

// A picture is all that a log holds after a step.
type picture struct {
	boundary Boundary
	start    int64
	rows     []Row    // of every index, those below the boundary too
	entries  []string // likewise, as text
	clean    []string // the batches of the clean prefix
	synced   int      // entries that a power cut must not take
}

// last is the newest index.
func (p picture) last() int { return len(p.entries) }

// picture describes the log after a step; what lies below the boundary is known
// from the picture before.
func (r *crashRun) picture(t *testing.T, before picture, step crashStep) picture {
	t.Helper()
	first := int(r.log.FirstIndex())
	p := picture{boundary: r.log.Boundary(), start: r.log.StartOffset(), clean: cleanOf(t, r.log)}
	p.rows = append(p.rows, before.rows[:first-1]...)
	p.entries = append(p.entries, before.entries[:first-1]...)
	p.rows = append(p.rows, rowsOf(t, r.log)...)
	p.entries = append(p.entries, contents(t, r.log)...)
	p.synced = min(before.synced, p.last())
	for _, s := range r.log.view.Load().sealed {
		p.synced = max(p.synced, int(s.lastIndex())) // flushed in the background
	}
	if p.synced = max(p.synced, first-1); step.sync {
		p.synced = p.last()
	}
	return p
}

// cleanOf reads the batches of the clean prefix, as text.
func cleanOf(t *testing.T, l *Log) (list []string) {
	t.Helper()
	for _, s := range l.view.Load().clean {
		if err := l.scanSegment(t.Context(), s, func(b record.Batch) error {
			list = append(list, fmt.Sprintf("%x", []byte(b)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
