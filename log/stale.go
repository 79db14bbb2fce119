package log

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/oncelog/oncelog/protocol/record"
)

// keyHash stands for a key: the front of its SHA-256.
type keyHash [16]byte

func hashKey(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:16])
}

// in says whether the key belongs to one share of several.
func (h keyHash) in(share, shares int) bool {
	return binary.BigEndian.Uint64(h[:])%uint64(shares) == uint64(share)
}

// stale tells the records of a compaction's input that are not the newest of
// their key: by the newest offset of each key of the dirty part or, where there
// are too many keys to be held at a time, by a mark for each such record.
type stale struct {
	newest map[keyHash]int64
	marks  bitmap // by place in the input
}

// has says whether a record is stale; at is its place in the input.
func (s *stale) has(r record.Record, at int64) bool {
	if s.marks != nil {
		return s.marks.has(at)
	}
	newest, dirty := s.newest[hashKey(r.Key)]
	return dirty && r.Offset < newest
}

// A bitmap grows as far as a bit is set.
type bitmap []uint64

func (b bitmap) has(at int64) bool { return at/64 < int64(len(b)) && b[at/64]>>(at%64)&1 == 1 }

func (b *bitmap) set(at int64) {
	for at/64 >= int64(len(*b)) {
		*b = append(*b, 0)
	}
	(*b)[at/64] |= 1 << (at % 64)
}

// errManyKeys says that a segment has more keys than are held at a time.
var errManyKeys = errors.New("log: more keys in a segment than one pass takes")

// findStale finds what the input of a plan holds in vain. With many keys it
// shortens the plan's dirty part; a segment that has too many of its own is read
// once for each share of them. So memory is bounded by Config.CompactionKeys, at
// about 50 bytes for a key, and a bit for each record.
func (l *Log) findStale(ctx context.Context, p *plan) (stale, error) {
	newest, err := l.newestOffsets(ctx, p, 0, 1)
	if !errors.Is(err, errManyKeys) {
		return stale{newest: newest}, err
	}
	newest = nil
	p.dirty = p.dirty[:1]
	records := p.dirty[0].next - p.dirty[0].base // as many keys at most
	shares := int(records/int64(p.cfg.CompactionKeys)) + 1
	s := stale{marks: bitmap{}}
	for share := range shares {
		if newest, err = l.newestOffsets(ctx, p, share, shares); err != nil {
			return stale{}, err
		}
		if err := l.markStale(ctx, p, newest, &s.marks); err != nil {
			return stale{}, err
		}
	}
	return s, nil
}

// markStale marks the records of the input that are not the newest of their key.
func (l *Log) markStale(ctx context.Context, p *plan, newest map[keyHash]int64, marks *bitmap) error {
	var buf record.Buffers
	at := int64(0)
	for _, s := range p.input() {
		if err := l.scanSegment(ctx, s, func(b record.Batch) error {
			for r, err := range b.Records(&buf) {
				if err != nil {
					return err
				}
				if offset, ok := newest[hashKey(r.Key)]; ok && r.Key != nil && r.Offset < offset {
					marks.set(at)
				}
				at++
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// newestOffsets finds the newest offset of each key of the dirty segments that is
// in one share of the keys, leaving aborted records out. Where all keys are one
// share, the dirty part ends before the segment with which there are too many.
//
// Errors: errManyKeys when the first segment alone has too many.
func (l *Log) newestOffsets(ctx context.Context, p *plan, share, shares int) (map[keyHash]int64, error) {
	newest := make(map[keyHash]int64)
	aborted, err := l.Aborted(p.input()[0].base, p.upTo(), nil)
	if err != nil {
		return nil, err
	}
	txns := newTxnTrace(aborted)
	for _, s := range p.clean {
		if err := l.scanSegment(ctx, s, func(b record.Batch) error { _, err := txns.follow(b); return err }); err != nil {
			return nil, err
		}
	}
	var buf record.Buffers
	for n, s := range p.dirty {
		if err := l.scanSegment(ctx, s, func(b record.Batch) error {
			if useless, err := txns.follow(b); useless || err != nil {
				return err
			}
			for r, err := range b.Records(&buf) {
				if err != nil {
					return err
				}
				if r.Key == nil {
					continue
				}
				if h := hashKey(r.Key); shares == 1 || h.in(share, shares) {
					newest[h] = r.Offset
				}
			}
			if shares == 1 && len(newest) > p.cfg.CompactionKeys {
				return errManyKeys
			}
			return nil
		}); n > 0 && errors.Is(err, errManyKeys) {
			// What was seen of this segment counts all the same: it is committed.
			p.dirty = p.dirty[:n]
			break
		} else if err != nil {
			return nil, err
		}
	}
	return newest, nil
}
