package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/oncelog/oncelog/protocol/planted"
)

// abortedSize is the bytes of an entry of the transaction index (.txnindex):
// version 0 and four numbers. Source: org.apache.kafka.storage.internals.log.AbortedTxn.
const abortedSize = 34

// maxKept bounds the entries that a sealed segment keeps in memory once read.
const maxKept = 4096

func encodeAborted(list []AbortedTxn) []byte {
	be := binary.BigEndian
	b := make([]byte, 0, len(list)*abortedSize)
	for _, t := range list {
		b = be.AppendUint16(b, 0)
		for _, v := range []int64{t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStableOffset} {
			b = be.AppendUint64(b, uint64(v))
		}
	}
	return b
}

// decodeAborted reads a whole transaction index.
//
// Errors: ErrNewerFormat, ErrCorrupt.
func decodeAborted(b []byte) ([]AbortedTxn, error) {
	if len(b)%abortedSize != 0 {
		return nil, fmt.Errorf("transaction index of %d bytes: %w", len(b), ErrCorrupt)
	}
	list := make([]AbortedTxn, 0, len(b)/abortedSize)
	for d := (decoder{b: b}); len(d.b) > 0; {
		if version := d.uint16(); version != 0 {
			return nil, fmt.Errorf("transaction index entry of version %d: %w", version, ErrNewerFormat)
		}
		t := AbortedTxn{d.int64(), d.int64(), d.int64(), d.int64()}
		if t.FirstOffset > t.LastOffset {
			return nil, fmt.Errorf("aborted transaction from %d to %d: %w", t.FirstOffset, t.LastOffset, ErrCorrupt)
		}
		list = append(list, t)
	}
	return list, nil
}

// Aborted appends to dst the aborted transactions that overlap [from, upTo),
// by the offset of their marker.
//
// Errors: ErrCorrupt, those of the file system.
func (l *Log) Aborted(from, upTo int64, dst []AbortedTxn) ([]AbortedTxn, error) {
	if planted.Is(planted.AbortedShown) {
		return dst, nil
	}
	v := l.view.Load()
	for n := v.find(from); v.at(n) != nil; n++ {
		list, err := l.abortedOf(v.at(n))
		if err != nil {
			return dst, err
		}
		for _, t := range list {
			if planted.Is(planted.AbortedBefore) && t.FirstOffset < from {
				continue
			}
			if t.LastOffset >= from && t.FirstOffset < upTo {
				dst = append(dst, t)
			}
			if t.LastStableOffset >= upTo {
				return dst, nil // whoever is closed later began at or above upTo
			}
		}
	}
	return dst, nil
}

// abortedOf lists the transactions whose abort marker is in the segment. No
// file says none.
func (l *Log) abortedOf(s *segment) ([]AbortedTxn, error) {
	if s.active {
		return s.aborted, nil
	}
	if known := s.ended.Load(); known != nil {
		return *known, nil
	}
	b, err := l.readShared(s.files.txn)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if got, want := sumOf(b), s.sums.txns; got != want {
		return nil, fmt.Errorf("%s: %d bytes with checksum %08x, want %d and %08x: %w", s.files.txn, got.size, got.crc, want.size, want.crc, ErrCorrupt)
	}
	list, err := decodeAborted(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.files.txn, err)
	}
	if len(list) <= maxKept {
		s.ended.Store(&list)
	}
	return list, nil
}

// readShared reads a whole file that may be removed meanwhile.
func (l *Log) readShared(name string) ([]byte, error) {
	file, err := l.handles.acquire(name)
	if err != nil {
		return nil, err
	}
	defer l.handles.release(file)
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := file.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
