// Package compare holds the replicas of a partition against each other: what
// promise 23 says of them. It reads the logs of brokers that are stopped.
//
// Above the boundaries, rows and batches must be equal byte for byte up to the
// newest entry that two replicas share. Below, where each replica compacts for
// itself, an offset that two replicas hold must hold the same record, and the
// newest record of a key must be the same, or a tombstone that one has dropped
// already (hard-33).
package compare

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
)

// A Replica is one of the logs.
type Replica struct {
	Name string
	Log  *log.Log
}

// A Position says how far a replica's log reaches.
type Position struct {
	Name          string `json:"name"`
	LogStart      int64  `json:"log_start"`
	BoundaryIndex uint64 `json:"boundary_index"`
	Boundary      int64  `json:"boundary"` // the first offset whose bytes never change
	LastIndex     uint64 `json:"last_index"`
	LastTerm      uint64 `json:"last_term"`
	LogEnd        int64  `json:"log_end"`
}

// A Difference is one place in which two replicas are not what they must be.
type Difference struct {
	Kind     string    `json:"kind"` // bytes, entry, end, record, newest, epoch, producer, unreadable
	Replicas [2]string `json:"replicas"`
	Index    uint64    `json:"index,omitempty"`
	Offset   int64     `json:"offset"`
	Detail   string    `json:"detail"`
}

func (d Difference) String() string {
	where := fmt.Sprintf("offset %d", d.Offset)
	if d.Index > 0 {
		where = fmt.Sprintf("index %d, %s", d.Index, where)
	}
	return fmt.Sprintf("%s of %s and %s at %s: %s", d.Kind, d.Replicas[0], d.Replicas[1], where, d.Detail)
}

// A Report is what a comparison found.
type Report struct {
	Positions []Position `json:"positions"`
	// Entries and Bytes were compared above the boundaries, Records below one.
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Records int   `json:"records"`
	// Common is the end, as an offset, of what all replicas share.
	Common int64 `json:"common"`
	// Settled says that all replicas end with the same entry.
	Settled     bool         `json:"settled"`
	Differences []Difference `json:"differences"`
}

// maxDifferences bounds what is told of one partition: one fault shows often.
const maxDifferences = 20

// Replicas compares the replicas of one partition, each with the one whose log
// a voter would call the newest. An entry that is committed is in that one, if
// all replicas are given.
func Replicas(replicas []Replica) Report {
	r := Report{Settled: true}
	newest := replicas[0]
	for _, replica := range replicas {
		l := replica.Log
		b := l.Boundary()
		r.Positions = append(r.Positions, Position{
			Name: replica.Name, LogStart: l.StartOffset(), BoundaryIndex: b.Index, Boundary: b.NextOffset,
			LastIndex: l.LastIndex(), LastTerm: l.LastTerm(), LogEnd: l.EndOffset(),
		})
		if older(newest.Log, l) {
			newest = replica
		}
	}
	r.Common = newest.Log.EndOffset()
	for _, replica := range replicas {
		if replica != newest {
			p := pair{report: &r, a: replica, b: newest}
			p.compare()
		}
	}
	return r
}

// older says whether raft's voters prefer b's log.
func older(a, b *log.Log) bool {
	return cmp.Or(cmp.Compare(a.LastTerm(), b.LastTerm()), cmp.Compare(a.LastIndex(), b.LastIndex())) < 0
}

// A pair is two replicas on their way through a comparison.
type pair struct {
	report *Report
	a, b   Replica
	common uint64 // the newest index at which both hold the same entry, or that one knows as committed
	end    int64  // the log end behind it
	apart  bool   // one ends below the other's boundary
}

func (p *pair) differ(kind string, index uint64, offset int64, format string, args ...any) {
	if len(p.report.Differences) < maxDifferences {
		p.report.Differences = append(p.report.Differences,
			Difference{kind, [2]string{p.a.Name, p.b.Name}, index, offset, fmt.Sprintf(format, args...)})
	}
}

func (p *pair) compare() {
	if p.a.Log.LastIndex() != p.b.Log.LastIndex() || p.a.Log.LastTerm() != p.b.Log.LastTerm() {
		p.report.Settled = false
	}
	if err := p.meet(); err != nil {
		p.differ("unreadable", p.common, p.end, "%v", err)
		return
	}
	p.report.Common = min(p.report.Common, p.end)
	for _, step := range []func() error{p.rows, p.records} {
		if err := step(); err != nil {
			p.differ("unreadable", p.common, p.end, "%v", err)
			return
		}
	}
	p.epochs()
	if p.common == p.a.Log.LastIndex() && p.common == p.b.Log.LastIndex() {
		p.producers()
	}
}

// meet finds the newest entry that both hold. All before it must be equal, since
// a follower takes an entry only behind the one that the leader has before it.
func (p *pair) meet() error {
	a, b := p.a.Log.Boundary(), p.b.Log.Boundary()
	floor := max(a.Index, b.Index)
	if last := min(p.a.Log.LastIndex(), p.b.Log.LastIndex()); last < floor {
		// One ends below the other's boundary: only records can be compared.
		p.common, p.end, p.apart = last, min(p.a.Log.EndOffset(), p.b.Log.EndOffset()), true
		return nil
	}
	for index := min(p.a.Log.LastIndex(), p.b.Log.LastIndex()); index > floor; index-- {
		x, err := p.a.Log.Row(index)
		if err != nil {
			return err
		}
		y, err := p.b.Log.Row(index)
		if err != nil {
			return err
		}
		if x.Term == y.Term {
			p.common, p.end = index, min(x.NextOffset(), y.NextOffset())
			return nil
		}
	}
	p.common, p.end = floor, max(a.NextOffset, b.NextOffset)
	return p.boundaries(a, b)
}

// boundaries compares the entry at the higher boundary, which is committed, with
// what the other replica holds there.
func (p *pair) boundaries(a, b log.Boundary) error {
	if a.Index == b.Index {
		if a.Term != b.Term || a.NextOffset != b.NextOffset {
			p.differ("end", a.Index, a.NextOffset, "both boundaries are at index %d: of terms %d and %d, before offsets %d and %d", a.Index, a.Term, b.Term, a.NextOffset, b.NextOffset)
		}
		return nil
	}
	other, high := p.a.Log, b
	if a.Index > b.Index {
		other, high = p.b.Log, a
	}
	row, err := other.Row(high.Index)
	if err != nil {
		return err
	}
	if row.Term == high.Term && row.NextOffset() != high.NextOffset {
		p.differ("end", high.Index, high.NextOffset, "one boundary is before offset %d, on the other replica the entry ends at %d", high.NextOffset, row.NextOffset())
	}
	if row.Term != high.Term {
		// A deposed leader that has not been told yet. It must not know the entry as committed.
		p.common, p.end = min(a.Index, b.Index), min(a.NextOffset, b.NextOffset)
	}
	return nil
}

// rows compares entries and their bytes above both boundaries.
func (p *pair) rows() error {
	var x, y []byte
	for index := max(p.a.Log.FirstIndex(), p.b.Log.FirstIndex()); index <= p.common; index++ {
		rowA, err := p.a.Log.Row(index)
		if err != nil {
			return err
		}
		rowB, err := p.b.Log.Row(index)
		if err != nil {
			return err
		}
		if x, err = p.a.Log.Payload(rowA, x[:0]); err != nil {
			return err
		}
		if y, err = p.b.Log.Payload(rowB, y[:0]); err != nil {
			return err
		}
		p.report.Entries++
		p.report.Bytes += int64(len(x))
		if rowA.Kind == rowB.Kind && rowA.Inline() != rowB.Inline() { // one was written by an older program, which said the same in more bytes
			rowB.Size, rowB.CRC, y = rowA.Size, rowA.CRC, x
		}
		rowA, rowB = rowA.Unplaced(), rowB.Unplaced()
		switch {
		case rowA != rowB:
			p.differ("entry", index, rowA.BaseOffset, "%s", rowsDiffer(rowA, rowB))
		case !bytes.Equal(x, y):
			p.differ("bytes", index, rowA.BaseOffset, "%s", bytesDiffer(x, y))
		default:
			continue
		}
		return nil // what follows differs because of it
	}
	return nil
}

// rowsDiffer names the first field in which two entries differ.
func rowsDiffer(a, b log.Row) string {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"term", a.Term, b.Term}, {"kind", a.Kind, b.Kind}, {"base offset", a.BaseOffset, b.BaseOffset}, {"size", a.Size, b.Size},
		{"count", a.Count, b.Count}, {"producer id", a.ProducerID, b.ProducerID}, {"producer epoch", a.ProducerEpoch, b.ProducerEpoch},
		{"base sequence", a.BaseSequence, b.BaseSequence}, {"attributes", a.Attributes, b.Attributes}, {"max timestamp", a.MaxTimestamp, b.MaxTimestamp},
		{"coordinator epoch", a.CoordinatorEpoch, b.CoordinatorEpoch}, {"commit", a.Commit, b.Commit},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s is %v and %v", f.name, f.a, f.b)
		}
	}
	return fmt.Sprintf("checksum is %08x and %08x", a.CRC, b.CRC)
}

// bytesDiffer says where two batches differ first.
func bytesDiffer(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("byte %d of %d is %02x and %02x", i, len(a), a[i], b[i])
		}
	}
	return fmt.Sprintf("%d and %d bytes", len(a), len(b))
}

// epochs compares where leader epochs begin, as far as both replicas hold the
// offsets.
func (p *pair) epochs() {
	from := max(p.a.Log.StartOffset(), p.b.Log.StartOffset())
	shared := func(l *log.Log) []log.EpochStart {
		return slices.DeleteFunc(l.Epochs(), func(e log.EpochStart) bool { return e.StartOffset <= from || e.StartOffset >= p.end })
	}
	if a, b := shared(p.a.Log), shared(p.b.Log); !slices.Equal(a, b) {
		p.differ("epoch", 0, from, "leader epochs begin at %v and %v", a, b)
	}
}

// producers compares what two replicas that end alike know of producers. Each
// forgets those that were idle for long by its own clock (hard-09).
func (p *pair) producers() {
	known := make(map[int64]log.ProducerState)
	for _, s := range p.a.Log.Producers() {
		known[s.ProducerID] = s
	}
	idle := func(s log.ProducerState) bool { return s.TxnFirstOffset < 0 }
	for _, s := range p.b.Log.Producers() {
		other, ok := known[s.ProducerID]
		delete(known, s.ProducerID)
		if ok && other != s || !ok && !idle(s) {
			p.differ("producer", 0, p.end, "producer %d is %+v and %+v (known: %v)", s.ProducerID, other, s, ok)
		}
	}
	for _, s := range known {
		if !idle(s) {
			p.differ("producer", 0, p.end, "producer %d is %+v and not known", s.ProducerID, s)
		}
	}
}

// errStop ends a walk early.
var errStop = errors.New("stop")

// Partitions lists the folders of partitions in a data folder: those whose name
// is a topic id as 32 hex digits, a dash and a number.
//
// Errors: those of the file system.
func Partitions(files vfs.FS, dir string) (all []string, err error) {
	entries, err := files.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && partitionFolder.MatchString(e.Name()) {
			all = append(all, e.Name())
		}
	}
	return all, nil
}

var partitionFolder = regexp.MustCompile(`^[0-9a-f]{32}-[0-9]+$`)
