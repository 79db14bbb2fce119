package compare

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/record"
)

// readAtOnce bounds the bytes of a log in memory, but for one batch.
const readAtOnce = 4 << 20

// A digest stands for a record.
type digest struct {
	offset    int64
	key       [16]byte
	keyless   bool
	tombstone bool
	control   bool
	sum       uint32 // of key, value, timestamp and headers
}

func digestOf(r record.Record, control bool) digest {
	d := digest{offset: r.Offset, keyless: r.Key == nil, tombstone: r.Value == nil, control: control}
	whole := sha256.Sum256(r.Key)
	d.key = [16]byte(whole[:16])
	h := crc32.NewIEEE()
	fmt.Fprintf(h, "%d %d %x %v %x %v", r.Timestamp, len(r.Headers), r.Key, r.Key == nil, r.Value, r.Value == nil)
	for _, header := range r.Headers {
		fmt.Fprintf(h, " %x %x %v", header.Key, header.Value, header.Value == nil)
	}
	d.sum = h.Sum32()
	return d
}

// recordsOf walks the records of a log between two offsets. What was aborted is
// left out, and so are batches of which compaction has left the head only.
func recordsOf(l *log.Log, from, upTo int64) iter.Seq2[digest, error] {
	return func(yield func(digest, error) bool) {
		if err := walkRecords(l, from, upTo, func(d digest) bool { return yield(d, nil) }); err != nil && !errors.Is(err, errStop) {
			yield(digest{}, err)
		}
	}
}

func walkRecords(l *log.Log, from, upTo int64, yield func(digest) bool) error {
	var buf []byte
	var buffers record.Buffers
	for from < upTo {
		var err error
		if buf, err = l.Read(buf[:0], from, upTo, readAtOnce, true); err != nil {
			return err
		}
		if len(buf) == 0 {
			return nil // the rest was compacted away
		}
		aborted, err := l.Aborted(from, upTo, nil)
		if err != nil {
			return err
		}
		for rest := buf; len(rest) > 0; {
			b, err := record.Peek(rest)
			if err != nil {
				return err
			}
			rest, from = rest[b.Size():], b.NextOffset()
			if within(aborted, b) {
				continue
			}
			for r, err := range b.Records(&buffers) {
				if err != nil {
					return err
				}
				if !yield(digestOf(r, b.IsControl())) {
					return errStop
				}
			}
		}
	}
	return nil
}

// within says whether a batch belongs to an aborted transaction.
func within(aborted []log.AbortedTxn, b record.Batch) bool {
	if !b.IsTransactional() || b.IsControl() {
		return false
	}
	for _, x := range aborted {
		if x.ProducerID == b.ProducerID() && b.BaseOffset() >= x.FirstOffset && b.LastOffset() <= x.LastOffset {
			return true
		}
	}
	return false
}

// records compares what lies below a boundary, up to the higher of the two.
func (p *pair) records() error {
	from := max(p.a.Log.StartOffset(), p.b.Log.StartOffset())
	upTo := min(max(p.a.Log.Boundary().NextOffset, p.b.Log.Boundary().NextOffset), p.end)
	if from >= upTo {
		return nil
	}
	nextA, stopA := iter.Pull2(recordsOf(p.a.Log, from, upTo))
	defer stopA()
	nextB, stopB := iter.Pull2(recordsOf(p.b.Log, from, upTo))
	defer stopB()
	newest := make(map[[16]byte][2]digest) // of a key, by replica; offset -1: none
	x, errA, okA := nextA()
	y, errB, okB := nextB()
	for okA || okB {
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		takeA, takeB := okA && (!okB || x.offset <= y.offset), okB && (!okA || y.offset <= x.offset)
		if takeA && takeB && x != y {
			p.differ("record", 0, x.offset, "two records: %s and %s", x.text(), y.text())
		}
		if takeA {
			note(newest, 0, x)
		}
		if takeB {
			note(newest, 1, y)
		}
		p.report.Records++
		if takeA {
			x, errA, okA = nextA()
		}
		if takeB {
			y, errB, okB = nextB()
		}
	}
	if !p.apart { // else one has compacted by what the other has not seen
		p.newest(newest)
	}
	return nil
}

func note(newest map[[16]byte][2]digest, replica int, d digest) {
	if d.control || d.keyless {
		return
	}
	both, ok := newest[d.key]
	if !ok {
		both = [2]digest{{offset: -1}, {offset: -1}}
	}
	both[replica] = d
	newest[d.key] = both
}

// newest compares the newest record of each key.
func (p *pair) newest(newest map[[16]byte][2]digest) {
	for _, both := range newest {
		a, b := both[0], both[1]
		switch {
		case a.offset == b.offset:
		case a.offset > b.offset && a.tombstone, b.offset > a.offset && b.tombstone:
			// The other has dropped it, and all of its key before it.
			if a.offset >= 0 && b.offset >= 0 {
				p.differ("newest", 0, max(a.offset, b.offset), "a tombstone on one replica, and the record before it, at %d, on the other", min(a.offset, b.offset))
			}
		default:
			p.differ("newest", 0, max(a.offset, b.offset), "the newest record of a key is %s and %s", a.text(), b.text())
		}
	}
}

func (d digest) text() string {
	switch {
	case d.offset < 0:
		return "none"
	case d.control:
		return fmt.Sprintf("a control record at %d, checksum %08x", d.offset, d.sum)
	case d.tombstone:
		return fmt.Sprintf("a tombstone at %d, checksum %08x", d.offset, d.sum)
	}
	return fmt.Sprintf("a record at %d, checksum %08x", d.offset, d.sum)
}
