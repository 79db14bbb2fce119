package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A seal says what a finished segment holds and what its index files are, under
// one checksum: Kafka's index files have none, and a missing transaction index
// would mean that nothing was aborted. Open takes a flushed segment as its seal
// says; one without a seal that holds is made anew from its rows. See
// docs/format/seal.md.
type seal struct {
	size         int64 // bytes of batches
	rows         int64 // 0 in the clean prefix
	next         int64 // offset behind it
	maxTimestamp int64
	maxOffset    int64 // last offset of the batch that has it
	index        fileSum
	times        fileSum
	txns         fileSum // size 0: there is no file
	heads        fileSum // of the clean prefix; its entries have checksums of their own
	epochs       epochs  // up to the segment's end
}

// A fileSum tells whether a file is the one that was written.
type fileSum struct {
	size int64
	crc  uint32
}

func sumOf(b []byte) fileSum { return fileSum{int64(len(b)), checksum(b)} }

const (
	sealMagic   = "olsl"
	sealVersion = 1
)

func (s seal) encode() []byte {
	be := binary.BigEndian
	b := append([]byte(sealMagic), 0, 0, 0, sealVersion)
	for _, v := range []int64{s.size, s.rows, s.next, s.maxTimestamp, s.maxOffset} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, sum := range []fileSum{s.index, s.times, s.txns, s.heads} {
		b = be.AppendUint64(b, uint64(sum.size))
		b = be.AppendUint32(b, sum.crc)
	}
	b = appendEpochs(b, s.epochs)
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeSeal reads a seal.
//
// Errors: ErrNewerFormat, ErrCorrupt.
func decodeSeal(b []byte) (s seal, err error) {
	if len(b) < 12 || string(b[:4]) != sealMagic {
		return s, fmt.Errorf("seal of %d bytes, want %q and more: %w", len(b), sealMagic, ErrCorrupt)
	}
	body := b[:len(b)-4]
	if got, want := checksum(body), binary.BigEndian.Uint32(b[len(body):]); got != want {
		return s, fmt.Errorf("seal checksum %08x, want %08x: %w", got, want, ErrCorrupt)
	}
	if version := binary.BigEndian.Uint32(b[4:]); version != sealVersion {
		return s, fmt.Errorf("seal version %d, this program knows %d: %w", version, sealVersion, ErrNewerFormat)
	}
	d := decoder{b: body[8:]}
	s = seal{size: d.int64(), rows: d.int64(), next: d.int64(), maxTimestamp: d.int64(), maxOffset: d.int64()}
	for _, sum := range []*fileSum{&s.index, &s.times, &s.txns, &s.heads} {
		*sum = fileSum{d.int64(), d.uint32()}
	}
	s.epochs = d.epochs()
	if d.failed || len(d.b) > 0 || s.size < 0 || s.rows < 0 {
		return seal{}, fmt.Errorf("seal of %d bytes: %w", len(b), ErrCorrupt)
	}
	return s, nil
}

func appendEpochs(b []byte, list epochs) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, e := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(e.Epoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.StartOffset))
	}
	return b
}

func (d *decoder) epochs() (list epochs) {
	for range d.count(12) {
		list = append(list, EpochStart{int32(d.uint32()), d.int64()})
	}
	return list
}

// readSeal reads the seal of a segment.
//
// Errors: as decodeSeal, those of the file system.
func (l *Log) readSeal(files *segmentFiles) (seal, error) {
	b, found, err := readFile(l.fs, files.seal)
	if err != nil {
		return seal{}, err
	}
	if !found {
		return seal{}, fmt.Errorf("%s is missing: %w", files.seal, ErrCorrupt)
	}
	s, err := decodeSeal(b)
	if err != nil {
		return s, fmt.Errorf("%s: %w", files.seal, err)
	}
	return s, nil
}

// take fills a segment in as its seal says.
func (s *segment) take(x seal) {
	s.size, s.rows, s.next = x.size, int(x.rows), x.next
	s.maxTimestamp, s.maxOffset = x.maxTimestamp, x.maxOffset
	s.sums = &sums{seal: x}
}

// sums are what a segment's files are compared with, once.
type sums struct {
	seal
	usable once
}

// indexed says whether the offset and the time index of a finished segment are
// as they were written. If not, reads do without them, and the next Open makes
// them anew.
func (l *Log) indexed(s *segment) (bool, error) {
	return s.sums.usable.get(func() (bool, error) {
		for _, f := range []struct {
			name string
			want fileSum
		}{{s.files.index, s.sums.index}, {s.files.time, s.sums.times}} {
			b, err := l.readShared(f.name)
			if err != nil && !vanished(err) {
				return false, err
			}
			if got := sumOf(b); err != nil || got != f.want {
				l.logger.Warn("index file is damaged; reads do without it and the next start makes it anew", "file", f.name,
					"bytes", got.size, "want_bytes", f.want.size, "checksum", got.crc, "want_checksum", f.want.crc, "error", err)
				if s.clean {
					return false, nil
				}
				return false, l.handles.discard(s.files.seal)
			}
		}
		return true, nil
	})
}
