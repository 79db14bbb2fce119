package log

import (
	"fmt"
	"math"
	"slices"

	"github.com/oncelog/oncelog/protocol/record"
)

// OffsetForTime finds the first record below upTo whose timestamp is at least
// ts (milliseconds); ok is false if there is none.
//
// Errors: ErrCorrupt, those of the file system. Source: UnifiedLog.fetchOffsetByTimestamp.
func (l *Log) OffsetForTime(ts, upTo int64) (offset, timestamp int64, leaderEpoch int32, ok bool, err error) {
	return l.findTime(upTo, func(*view) (int64, error) { return ts, nil })
}

// MaxTimestamp finds the first record with the largest timestamp of the log from
// its start on; ok is false if it is not below upTo.
//
// Errors: as OffsetForTime.
func (l *Log) MaxTimestamp(upTo int64) (offset, timestamp int64, leaderEpoch int32, ok bool, err error) {
	return l.findTime(upTo, l.largestTimestamp)
}

// largestTimestamp is the largest at or after the log start, or what no record
// has.
func (l *Log) largestTimestamp(v *view) (int64, error) {
	n := v.find(v.start)
	first, largest := v.at(n), int64(-1)
	for n++; first != nil && v.at(n) != nil; n++ {
		largest = max(largest, v.at(n).maxTimestamp)
	}
	if first != nil && first.maxTimestamp > largest {
		own := first.maxTimestamp
		if first.base < v.start { // it may be that of a record below the log start
			var err error
			if own, err = l.largestFrom(v, first, v.start); err != nil {
				return 0, err
			}
		}
		largest = max(largest, own)
	}
	if largest < 0 {
		return math.MaxInt64, nil
	}
	return largest, nil
}

// largestFrom is the largest timestamp of a segment's records from an offset on,
// -1 for none.
func (l *Log) largestFrom(v *view, s *segment, start int64) (largest int64, err error) {
	largest = -1
	err = l.walk(v, s, start, func(b record.Batch) (bool, error) {
		switch {
		case b.Count() == 0 || b.MaxTimestamp() <= largest:
		case b.BaseOffset() >= start:
			largest = b.MaxTimestamp()
		default: // the log start lies in this batch
			for r, err := range b.Records(nil) {
				if err != nil {
					return false, err
				}
				if r.Offset >= start {
					largest = max(largest, r.Timestamp)
				}
			}
		}
		return true, nil
	})
	return largest, err
}

// walk hands the batches of a segment to fn, from the one with an offset on, for
// as long as fn says. Each is checked before.
func (l *Log) walk(v *view, s *segment, from int64, fn func(record.Batch) (more bool, err error)) error {
	file, err := l.handles.acquire(s.files.log)
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	chain, position, err := l.chainFrom(v, s, file, from)
	defer l.done(&chain)
	if err != nil {
		return err
	}
	scan := newScanner(file, s.size)
	defer scan.free()
	for position < s.size {
		b, err := scan.batch(position)
		if err != nil {
			return fmt.Errorf("%s: %w", s.files.log, eofIsCorrupt(err))
		}
		if got, want := b.Checksum(), b.CRC(); got != want {
			return fmt.Errorf("%s at %d: checksum %08x, want %08x: %w", s.files.log, position, got, want, ErrCorrupt)
		}
		if err := chain.check(position, b); err != nil {
			return err
		}
		more, err := fn(b)
		if err != nil {
			return fmt.Errorf("%s at %d: %w", s.files.log, position, err)
		}
		if !more {
			return nil
		}
		position += int64(b.Size())
	}
	return nil
}

func (l *Log) findTime(upTo int64, wanted func(*view) (int64, error)) (offset, timestamp int64, leaderEpoch int32, ok bool, err error) {
	for try := 1; ; try++ {
		v := l.view.Load()
		ts, err := wanted(v)
		r, epoch := record.Record{}, int32(-1)
		if err == nil {
			r, epoch, err = l.searchTime(v, ts)
		}
		if err != nil && try < readTries && vanished(err) {
			continue
		}
		if err != nil || epoch < 0 || r.Offset >= upTo {
			return -1, -1, -1, false, err
		}
		return r.Offset, r.Timestamp, epoch, true, nil
	}
}

// searchTime finds the first record at or after the log start with a timestamp
// of at least ts. The epoch is -1 if there is none.
func (l *Log) searchTime(v *view, ts int64) (record.Record, int32, error) {
	for n := v.find(v.start); v.at(n) != nil; n++ {
		s := v.at(n)
		if s.maxTimestamp < ts {
			continue
		}
		r, epoch, err := l.searchSegment(v, s, ts)
		if err != nil || epoch >= 0 {
			return r, epoch, err
		}
	}
	return record.Record{}, -1, nil
}

func (l *Log) searchSegment(v *view, s *segment, ts int64) (found record.Record, epoch int32, err error) {
	epoch = -1
	from, err := l.floorTime(s, ts)
	if err != nil {
		return found, epoch, err
	}
	err = l.walk(v, s, max(from, v.start), func(b record.Batch) (bool, error) {
		if b.MaxTimestamp() < ts || b.Count() == 0 {
			return true, nil
		}
		for r, err := range b.Records(nil) {
			if err != nil {
				return false, err
			}
			if r.Timestamp >= ts && r.Offset >= v.start {
				found, epoch = record.Record{Offset: r.Offset, Timestamp: r.Timestamp}, b.LeaderEpoch()
				return false, nil
			}
		}
		return true, nil
	})
	return found, epoch, err
}

// floorTime is an offset before which no batch of the segment reaches ts.
func (l *Log) floorTime(s *segment, ts int64) (int64, error) {
	if s.active {
		n, _ := slices.BinarySearchFunc(s.times, ts, func(e timeEntry, want int64) int {
			if e.timestamp <= want {
				return -1
			}
			return 1
		})
		if n == 0 {
			return s.base, nil
		}
		return s.base + int64(s.times[n-1].offset), nil
	}
	if usable, err := l.indexed(s); err != nil || !usable {
		return s.base, err
	}
	file, err := l.handles.acquire(s.files.time)
	if err != nil {
		return 0, err
	}
	defer l.handles.release(file)
	from := s.base
	_, err = searchFile(file, make([]byte, timeEntrySize), timeEntrySize, func(b []byte) bool {
		e := decodeTimeEntry(b)
		if e.timestamp > ts {
			return false
		}
		from = s.base + int64(e.offset)
		return true
	})
	return from, err
}
