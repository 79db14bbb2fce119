package log

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"
)

// A producer-state snapshot is the producer state at one offset, in the file
// <offset>.snapshot. It begins exactly as Kafka's version 1, which holds only
// the newest batch of each producer, so that Kafka's tools read it; what Kafka
// leaves out follows under the same checksum. See docs/format/snapshot.md.
// Source: org.apache.kafka.storage.internals.log.ProducerStateManager.
const (
	snapshotVersion  = 1
	snapshotEntry    = 46 // bytes of a producer in Kafka's part
	trailerMagic     = "olps"
	trailerVersion   = 1
	windowEntry      = 32
	completedEntry   = 25
	snapshotHeadSize = 6 // version and checksum
)

// encode writes the state; equal states give equal bytes.
func (s *producers) encode() []byte {
	be := binary.BigEndian
	ids := slices.Sorted(maps.Keys(s.byID))
	b := be.AppendUint16(nil, snapshotVersion)
	b = be.AppendUint32(b, 0) // checksum, below
	b = be.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		p := s.byID[id]
		newest := batchRange{lastSequence: -1, firstOffset: -1, lastOffset: -1}
		if p.count > 0 {
			newest = p.window[p.count-1]
		}
		b = be.AppendUint64(b, uint64(p.id))
		b = be.AppendUint16(b, uint16(p.epoch))
		b = be.AppendUint32(b, uint32(newest.lastSequence))
		b = be.AppendUint64(b, uint64(newest.lastOffset))
		b = be.AppendUint32(b, uint32(newest.lastOffset-newest.firstOffset))
		b = be.AppendUint64(b, uint64(p.lastTimestamp))
		b = be.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = be.AppendUint64(b, uint64(p.txnFirstOffset))
	}
	b = append(b, trailerMagic...)
	b = be.AppendUint16(b, trailerVersion)
	for _, id := range ids {
		p := s.byID[id]
		b = append(b, byte(p.count))
		for _, r := range p.window[:p.count] {
			b = be.AppendUint32(b, uint32(r.firstSequence))
			b = be.AppendUint32(b, uint32(r.lastSequence))
			b = be.AppendUint64(b, uint64(r.firstOffset))
			b = be.AppendUint64(b, uint64(r.lastOffset))
			b = be.AppendUint64(b, uint64(r.timestamp))
		}
	}
	b = be.AppendUint32(b, uint32(len(s.completed)))
	for _, c := range s.completed {
		b = be.AppendUint64(b, uint64(c.producerID))
		b = be.AppendUint64(b, uint64(c.firstOffset))
		b = be.AppendUint64(b, uint64(c.markerOffset))
		b = append(b, boolByte(c.commit))
	}
	be.PutUint32(b[2:], crc32.Checksum(b[snapshotHeadSize:], castagnoli))
	return b
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decodeProducers reads a snapshot. Every producer counts as seen now: its age
// is not known (hard-09).
//
// Errors: ErrNewerFormat, ErrCorrupt.
func decodeProducers(b []byte, now time.Time) (*producers, error) {
	d := decoder{b: b}
	if version := d.uint16(); !d.failed && version != snapshotVersion {
		return nil, fmt.Errorf("producer snapshot version %d, this program knows %d: %w", version, snapshotVersion, ErrNewerFormat)
	}
	if sum := d.uint32(); d.failed || crc32.Checksum(b[snapshotHeadSize:], castagnoli) != sum {
		return nil, fmt.Errorf("producer snapshot of %d bytes: checksum: %w", len(b), ErrCorrupt)
	}
	s := newProducers()
	var list []producer
	for range d.count(snapshotEntry) {
		p := newProducer(d.int64())
		p.epoch = int16(d.uint16())
		d.take(16) // the newest batch: it is in the trailer too
		p.lastTimestamp, p.coordinatorEpoch, p.txnFirstOffset, p.touched = d.int64(), d.int32(), d.int64(), now
		list = append(list, p)
	}
	magic, version := string(d.take(len(trailerMagic))), d.uint16()
	if !d.failed && magic == trailerMagic && version != trailerVersion {
		return nil, fmt.Errorf("producer snapshot trailer %d, this program knows %d: %w", version, trailerVersion, ErrNewerFormat)
	}
	for i := range list {
		s.decodeWindow(&d, list[i])
	}
	for range d.count(completedEntry) {
		s.completed = append(s.completed, completedTxn{d.int64(), d.int64(), d.int64(), d.byte() != 0})
	}
	if d.failed || len(d.b) > 0 || magic != trailerMagic || len(s.byID) != len(list) {
		return nil, fmt.Errorf("producer snapshot of %d bytes: %w", len(b), ErrCorrupt)
	}
	slices.SortFunc(s.open, func(a, b openTxn) int { // by the id too: the order of the file must not matter
		return cmp.Or(cmp.Compare(a.firstOffset, b.firstOffset), cmp.Compare(a.producerID, b.producerID))
	})
	return s, nil
}

// decodeWindow completes a producer by the trailer's part and installs it.
func (s *producers) decodeWindow(d *decoder, p producer) {
	p.count = int(d.byte())
	if p.count > windowSize {
		d.failed = true
		return
	}
	for i := range p.count {
		p.window[i] = batchRange{d.int32(), d.int32(), d.int64(), d.int64(), d.int64()}
	}
	s.byID[p.id] = p
	if p.txnFirstOffset != noOffset {
		s.open = append(s.open, openTxn{p.txnFirstOffset, p.id})
	}
}
