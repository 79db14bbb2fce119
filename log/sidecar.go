package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The sidecar of a segment (.raft) holds one row of fixed size per raft index,
// in order; see docs/format/raft-sidecar.md. Rows exist for the raft part only:
// time lookups, aborted transactions and leader epochs of the clean prefix are
// answered from its own index files and the epoch checkpoint (hard-35).

// rowSize is the bytes of a row.
const (
	rowSize  = 84
	rowCRCAt = rowSize - 4
)

const (
	commitFlag = 1 // the batch is a commit marker
	inlineFlag = 2 // the payload is in the row
)

// maxInline is the most bytes of a payload that a row has room for, in the fields
// that only batches use. So what founds a partition needs no file of payloads.
const (
	maxInline    = inlineFirst + inlineSecond
	inlineAt     = 32 // max timestamp, producer id
	inlineFirst  = 16
	inlineThenAt = 60 // base sequence, coordinator epoch, producer epoch, attributes
	inlineSecond = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRow encodes a row.
func appendRow(dst []byte, r Row) []byte {
	at := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint64(dst, r.Index)
	dst = be.AppendUint64(dst, r.Term)
	dst = be.AppendUint64(dst, uint64(r.Position))
	dst = be.AppendUint64(dst, uint64(r.BaseOffset))
	dst = be.AppendUint64(dst, uint64(r.MaxTimestamp))
	dst = be.AppendUint64(dst, uint64(r.ProducerID))
	dst = be.AppendUint32(dst, uint32(r.Size))
	dst = be.AppendUint32(dst, uint32(r.Count))
	dst = be.AppendUint32(dst, r.CRC)
	dst = be.AppendUint32(dst, uint32(r.BaseSequence))
	dst = be.AppendUint32(dst, uint32(r.CoordinatorEpoch))
	dst = be.AppendUint16(dst, uint16(r.ProducerEpoch))
	dst = be.AppendUint16(dst, uint16(r.Attributes))
	flags := byte(0)
	if r.Commit {
		flags = commitFlag
	}
	if r.inline != "" {
		flags |= inlineFlag
		putInline(dst[at:], r.inline)
	}
	dst = append(dst, byte(r.Kind), flags, 0, 0)
	dst = be.AppendUint32(dst, uint32(r.PayloadPosition))
	return be.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// putInline writes a payload over the fields of a row that only batches use.
func putInline(row []byte, payload string) {
	clear(row[inlineAt : inlineAt+inlineFirst])
	clear(row[inlineThenAt : inlineThenAt+inlineSecond])
	n := copy(row[inlineAt:inlineAt+inlineFirst], payload)
	copy(row[inlineThenAt:inlineThenAt+inlineSecond], payload[n:])
}

// takeInline reads the payload that a row holds; its other fields say what they say
// of all that is no batch.
//
// Errors: ErrCorrupt.
func (r *Row) takeInline(b []byte) error {
	if r.Kind == KindBatch || r.Kind == KindVoid || r.Size <= 0 || r.Size > maxInline {
		return fmt.Errorf("row %d: %d bytes of a payload in the row of a %s, at most %d fit: %w", r.Index, r.Size, r.Kind, maxInline, ErrCorrupt)
	}
	var payload [maxInline]byte
	n := copy(payload[:inlineFirst], b[inlineAt:])
	copy(payload[n:], b[inlineThenAt:inlineThenAt+inlineSecond])
	r.inline = string(payload[:r.Size])
	r.MaxTimestamp, r.ProducerID, r.ProducerEpoch, r.BaseSequence, r.CoordinatorEpoch, r.Attributes = -1, -1, noEpoch, -1, -1, 0
	return r.verify(payload[:r.Size])
}

// decodeRow decodes the row at the start of b.
//
// Errors: ErrCorrupt.
func decodeRow(b []byte) (Row, error) {
	if len(b) < rowSize {
		return Row{}, fmt.Errorf("row of %d bytes, want %d: %w", len(b), rowSize, ErrCorrupt)
	}
	be := binary.BigEndian
	if want, got := be.Uint32(b[rowCRCAt:]), crc32.Checksum(b[:rowCRCAt], castagnoli); want != got {
		return Row{}, fmt.Errorf("row checksum %08x, want %08x: %w", got, want, ErrCorrupt)
	}
	r := Row{
		Index: be.Uint64(b), Term: be.Uint64(b[8:]), Position: int64(be.Uint64(b[16:])), BaseOffset: int64(be.Uint64(b[24:])),
		MaxTimestamp: int64(be.Uint64(b[32:])), ProducerID: int64(be.Uint64(b[40:])), Size: int32(be.Uint32(b[48:])),
		Count: int32(be.Uint32(b[52:])), CRC: be.Uint32(b[56:]), BaseSequence: int32(be.Uint32(b[60:])),
		CoordinatorEpoch: int32(be.Uint32(b[64:])), ProducerEpoch: int16(be.Uint16(b[68:])), Attributes: int16(be.Uint16(b[70:])),
		Kind: Kind(b[72]), Commit: b[73]&commitFlag != 0, PayloadPosition: int32(be.Uint32(b[76:])),
	}
	switch {
	case !r.Kind.valid():
		return Row{}, fmt.Errorf("row kind %d: %w", r.Kind, ErrCorrupt)
	case r.Index == 0 || r.Position < 0 || r.BaseOffset < 0 || r.Size < 0 || r.Count < 0 || r.PayloadPosition < 0 || (r.Count > 0) != (r.Kind == KindBatch):
		return Row{}, fmt.Errorf("row %d: position %d, offset %d, size %d, count %d: %w", r.Index, r.Position, r.BaseOffset, r.Size, r.Count, ErrCorrupt)
	}
	if b[73]&inlineFlag != 0 {
		if err := r.takeInline(b); err != nil {
			return Row{}, err
		}
	}
	return r, nil
}

// maxRecent bounds the rows kept in memory: raft asks for the newest ones.
const maxRecent = 256

// recentRows holds the newest rows, contiguous by index. The log's mu guards it.
type recentRows []Row

func (r recentRows) add(row Row) recentRows {
	if len(r) >= maxRecent {
		r = append(r[:0], r[len(r)-maxRecent/2:]...)
	}
	return append(r, row)
}

func (r recentRows) get(index uint64) (Row, bool) {
	if len(r) == 0 || index < r[0].Index || index >= r[0].Index+uint64(len(r)) {
		return Row{}, false
	}
	return r[index-r[0].Index], true
}

// rowPosition is where the row of an index lies in its segment's sidecar.
func (s *segment) rowPosition(index uint64) int64 { return int64(index-s.firstIndex) * rowSize }

// eachRow reads the rows of a segment from index first on, up to its count.
//
// Errors: ErrCorrupt for a row that is not what was written, those of fn.
func (l *Log) eachRow(s *segment, first uint64, fn func(Row) error) error {
	if s.rows == 0 || first > s.lastIndex() {
		return nil
	}
	file, err := l.handles.acquire(s.files.rows)
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	buf := make([]byte, rowSize*512)
	for index := first; index <= s.lastIndex(); {
		n := min(uint64(len(buf)/rowSize), s.lastIndex()-index+1)
		chunk := buf[:n*rowSize]
		if _, err := file.ReadAt(chunk, s.rowPosition(index)); err != nil {
			return fmt.Errorf("read rows from %d: %w", index, err)
		}
		for ; len(chunk) > 0; chunk, index = chunk[rowSize:], index+1 {
			row, err := decodeRow(chunk)
			if err != nil {
				return fmt.Errorf("%s: %w", s.files.rows, err)
			}
			if row.Index != index {
				return fmt.Errorf("%s: row %d, want %d: %w", s.files.rows, row.Index, index, ErrCorrupt)
			}
			if err := fn(row); err != nil {
				return err
			}
		}
	}
	return nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
