package log

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// CompactLimits bound a compaction from above.
type CompactLimits struct {
	HighWatermark    int64
	LastStableOffset int64
	Applied          uint64    // no row above this index leaves the raft part
	MinMatch         int64     // the lowest log end of the voters seen lately; 0: no voter to wait for
	Now              time.Time // of this node: lags and delete horizons count from it
}

// CompactResult says what a compaction did.
type CompactResult struct {
	Ran                     bool
	UpTo                    int64 // the new end of the clean prefix
	BytesBefore, BytesAfter int64
}

// errOvertaken ends a compaction whose input was deleted meanwhile.
var errOvertaken = errors.New("log: compaction overtaken")

// A plan is what one compaction reads: the clean prefix and the sealed segments
// behind it that may join it.
type plan struct {
	clean, dirty []*segment
	cfg          Config
	now          time.Time
	generation   uint32
}

func (p plan) input() []*segment { return slices.Concat(p.clean, p.dirty) }
func (p plan) upTo() int64       { return p.dirty[len(p.dirty)-1].next }
func (p plan) dir(l *Log) string { return filepath.Join(l.dir, cleanName(p.generation)) }

// Compact rewrites the clean prefix and the sealed segments below the limits
// into a new clean prefix, keeping the newest record of each key, when enough of
// them is dirty. The boundary moves to its end. It is local to this replica
// (hard-33). Appends and reads go on meanwhile; one compaction runs at a time.
//
// Errors: the context's, ErrFailed, ErrClosed, those of the file system. Only an
// error while the result is taken over stops the log.
func (l *Log) Compact(ctx context.Context, limits CompactLimits) (CompactResult, error) {
	l.cleaner.take()
	defer l.cleaner.give()
	if err := l.usable(); err != nil {
		return CompactResult{}, err
	}
	p, ok := l.plan(limits)
	if !ok {
		return CompactResult{}, nil
	}
	result := CompactResult{Ran: true, UpTo: p.upTo(), BytesBefore: bytesOf(p.input())}
	output, err := l.clean(ctx, &p)
	if err == nil {
		result.UpTo, result.BytesAfter = p.upTo(), bytesOf(output)
		err = l.takeOver(p, output)
	}
	if err != nil {
		l.report(l.fs.RemoveAll(p.dir(l)))
		if errors.Is(err, errOvertaken) || vanished(err) && !samePrefix(l.view.Load(), p) {
			return CompactResult{}, nil // retention or a reset was faster; the next round sees what is left
		}
		return CompactResult{}, fmt.Errorf("compact up to offset %d: %w", p.upTo(), err)
	}
	return result, nil
}

func bytesOf(list []*segment) (n int64) {
	for _, s := range list {
		n += s.size
	}
	return n
}

// plan chooses the input; ok is false when it is not worth it. Source:
// org.apache.kafka.storage.internals.log.LogCleanerManager.
func (l *Log) plan(limits CompactLimits) (p plan, ok bool) {
	v := l.view.Load()
	p = plan{clean: v.clean, cfg: l.Config(), now: limits.Now, generation: l.generation() + 1}
	if !p.cfg.CleanupCompact {
		return p, false
	}
	end := min(limits.HighWatermark, limits.LastStableOffset)
	if limits.MinMatch > 0 {
		end = min(end, limits.MinMatch)
	}
	overdue := false
	for _, s := range v.sealed {
		if s.next > end || s.lastIndex() > limits.Applied || p.cfg.MinCompactionLag > 0 && l.age(s, p.now) < p.cfg.MinCompactionLag {
			break
		}
		overdue = overdue || p.cfg.MaxCompactionLag > 0 && l.waited(s, p.now) > p.cfg.MaxCompactionLag
		p.dirty = append(p.dirty, s)
	}
	dirty := bytesOf(p.dirty)
	if len(p.dirty) == 0 || dirty == 0 {
		return p, false
	}
	ratio := float64(dirty) / float64(dirty+bytesOf(p.clean))
	return p, overdue || ratio > p.cfg.MinCleanableRatio
}

// waited is how long the first batch of a segment has been in it. Source:
// LogCleanerManager.maxCompactionDelay.
func (l *Log) waited(s *segment, now time.Time) time.Duration {
	file, err := l.handles.acquire(s.files.log)
	if err != nil {
		return l.age(s, now) // retention was faster, or the scan to come will tell
	}
	defer l.handles.release(file)
	scan := newScanner(file, s.size)
	defer scan.free()
	first, err := scan.header(0)
	if err != nil || first.MaxTimestamp() < 0 {
		return l.age(s, now)
	}
	return now.Sub(time.UnixMilli(first.MaxTimestamp()))
}

func (l *Log) generation() uint32 {
	l.writer.take()
	defer l.writer.give()
	return l.meta.generation
}

// samePrefix says whether the input of a plan is still what the log begins with.
func samePrefix(v *view, p plan) bool {
	return slices.Equal(v.clean, p.clean) && len(v.sealed) >= len(p.dirty) && slices.Equal(v.sealed[:len(p.dirty)], p.dirty)
}

// takeOver makes the output the clean prefix, by one rename of the meta file.
func (l *Log) takeOver(p plan, output []*segment) error {
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	v := l.view.Load()
	if !samePrefix(v, p) {
		return errOvertaken
	}
	boundary, err := l.boundaryBehind(*v.boundary, p.dirty)
	if err != nil {
		return err
	}
	next := *v
	next.clean, next.sealed, next.boundary = output, v.sealed[len(p.dirty):], &boundary
	m := l.meta
	old := m.generation
	m.boundary, m.generation, m.clean = boundary, p.generation, cleanFiles(output)
	if err := l.commitMeta(m, &next, true); err != nil {
		return l.fail(err)
	}
	for _, s := range p.input() {
		l.discardSegment(s)
	}
	if old > 0 {
		l.report(l.fs.RemoveAll(filepath.Join(l.dir, cleanName(old))))
	}
	return nil
}
