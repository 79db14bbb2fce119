package log

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"
)

// The decoders of every file: whatever the bytes, an error or a value that
// encodes to the same bytes again.

func FuzzRow(f *testing.F) {
	f.Add(appendRow(nil, Row{Index: 1, Term: 2, Kind: KindBatch, Size: 100, Count: 3, CRC: 9, ProducerID: 4, Commit: true}))
	f.Add(appendRow(nil, Row{Index: 9, Term: 2, Kind: KindVoid, Position: 4, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}))
	f.Add(appendRow(nil, Row{Index: 1, Term: 1, Kind: KindConfiguration, Size: 3, CRC: checksum([]byte("a b")), inline: "a b"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := decodeRow(summed(b))
		if err != nil {
			return
		}
		again, err := decodeRow(appendRow(nil, row))
		if err != nil || again != row {
			t.Errorf("%+v became %+v, %v", row, again, err)
		}
	})
}

// summed is a row with right checksums, which would keep everything else out.
func summed(b []byte) []byte {
	if len(b) < rowSize {
		return b
	}
	b = bytes.Clone(b[:rowSize])
	payload := slices.Concat(b[inlineAt:inlineAt+inlineFirst], b[inlineThenAt:inlineThenAt+inlineSecond])
	if size := binary.BigEndian.Uint32(b[48:]); b[73]&inlineFlag != 0 && size <= maxInline {
		binary.BigEndian.PutUint32(b[56:], checksum(payload[:size]))
	}
	binary.BigEndian.PutUint32(b[rowCRCAt:], checksum(b[:rowCRCAt]))
	return b
}

func FuzzMeta(f *testing.F) {
	f.Add(meta{}.encode())
	f.Add(meta{boundary: Boundary{Index: 5, Term: 2, NextOffset: 9, Configuration: []byte("c"), ConfigurationIndex: 1}, start: 4, generation: 2,
		clean: []cleanFile{{1, 2, 3, 4, 5}}, install: &install{producers: []byte("p"), epochs: epochs{{1, 2}}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 12 { // or the checksum would keep everything out
			b = binary.BigEndian.AppendUint32(b[:len(b)-4:len(b)-4], checksum(b[:len(b)-4]))
		}
		m, err := decodeMeta(b)
		if err == nil && !bytes.Equal(m.encode(), b) {
			t.Errorf("%x became %x", b, m.encode())
		}
	})
}

func FuzzProducerSnapshot(f *testing.F) {
	p := newProducers()
	for _, b := range [][]byte{data(1, 0, 0, 3, 1, true), marker(1, 1, false, 3), data(3, 1, 0, 1, 1, true)} {
		row, err := batchRow(b)
		if err != nil {
			f.Fatal(err)
		}
		p.apply(row, time.Time{})
	}
	f.Add(newProducers().encode())
	f.Add(p.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > snapshotHeadSize {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[2:], checksum(b[snapshotHeadSize:]))
		}
		p, err := decodeProducers(b, time.Time{})
		if err != nil {
			return
		}
		again, err := decodeProducers(p.encode(), time.Time{})
		if err != nil || describeAll(again) != describeAll(p) {
			t.Errorf("%s became %s, %v", describeAll(p), describeAll(again), err)
		}
	})
}

func FuzzTransactionIndex(f *testing.F) {
	f.Add(encodeAborted([]AbortedTxn{{1, 2, 3, 4}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeAborted(b)
		if err == nil && !bytes.Equal(encodeAborted(list), b) {
			t.Errorf("%x became %x", b, encodeAborted(list))
		}
	})
}

func FuzzEpochs(f *testing.F) {
	f.Add(epochs{{1, 2}, {4, 2}}.encode())
	f.Add([]byte("0\n0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEpochs(b)
		if err != nil {
			return
		}
		if again, err := decodeEpochs(list.encode()); err != nil || len(again) != len(list) {
			t.Errorf("%v became %v, %v", list, again, err)
		}
	})
}

func FuzzFlushed(f *testing.F) {
	f.Add(flushed{base: 5, position: 9}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := decodeFlushed(b); got != (flushed{}) && !bytes.Equal(got.encode(), b) {
			t.Errorf("%x became %+v", b, got)
		}
	})
}

func FuzzSeal(f *testing.F) {
	f.Add(seal{}.encode())
	f.Add(seal{size: 900, rows: 3, next: 12, maxTimestamp: 5, maxOffset: 4, index: fileSum{8, 1}, epochs: epochs{{1, 2}, {4, 9}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 12 { // or the checksum would keep everything out
			b = binary.BigEndian.AppendUint32(b[:len(b)-4:len(b)-4], checksum(b[:len(b)-4]))
		}
		s, err := decodeSeal(b)
		if err == nil && !bytes.Equal(s.encode(), b) {
			t.Errorf("%x became %x", b, s.encode())
		}
	})
}

// FuzzIndex searches an index file of any content: an entry that is found is one
// of the file and not above what was sought, and in a file that is in order the
// same as in memory.
func FuzzIndex(f *testing.F) {
	f.Add(encodeIndex([]indexEntry{{3, 100}, {9, 300}, {12, 500}}), int32(10))
	f.Add(encodeIndex([]indexEntry{{9, 300}, {3, 100}, {-1, -5}}), int32(4))
	f.Add([]byte{1, 2, 3}, int32(0))
	f.Fuzz(func(t *testing.T, b []byte, relative int32) {
		fs := newDisk()
		if err := writeFile(fs, "data/index", b, false); err != nil {
			t.Fatal(err)
		}
		file, err := fs.OpenFile("data/index", os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := floorEntryFile(file, make([]byte, indexEntrySize), relative)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		var entries []indexEntry
		for rest := b; len(rest) >= indexEntrySize; rest = rest[indexEntrySize:] {
			entries = append(entries, decodeIndexEntry(rest))
		}
		if got != (indexEntry{offset: -1}) && (got.offset > relative || !slices.Contains(entries, got)) {
			t.Errorf("%+v for %d in %+v", got, relative, entries)
		}
		if rising := func(a, b indexEntry) int { return cmp.Compare(a.offset, b.offset) }; slices.IsSortedFunc(entries, rising) {
			if want := floorEntry(entries, relative); got != want {
				t.Errorf("%+v for %d in %+v, in memory %+v", got, relative, entries, want)
			}
		}
	})
}
