package log

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/oncelog/oncelog/log/vfs"
)

// Sizes of entries in Kafka's index files. Source:
// org.apache.kafka.storage.internals.log.OffsetIndex and TimeIndex.
const (
	indexEntrySize = 8
	timeEntrySize  = 12
)

// indexEntry says that the batch whose last offset is base + offset lies at position.
type indexEntry struct{ offset, position int32 }

// timeEntry says that no batch up to base + offset has a larger timestamp.
type timeEntry struct {
	timestamp int64 // ms
	offset    int32
}

func encodeIndex(entries []indexEntry) []byte {
	b := make([]byte, 0, len(entries)*indexEntrySize)
	for _, e := range entries {
		b = appendIndexEntry(b, e)
	}
	return b
}

func appendIndexEntry(b []byte, e indexEntry) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(e.offset))
	return binary.BigEndian.AppendUint32(b, uint32(e.position))
}

func decodeIndexEntry(b []byte) indexEntry {
	return indexEntry{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))}
}

func encodeTimes(entries []timeEntry) []byte {
	b := make([]byte, 0, len(entries)*timeEntrySize)
	for _, e := range entries {
		b = binary.BigEndian.AppendUint64(b, uint64(e.timestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(e.offset))
	}
	return b
}

func decodeTimeEntry(b []byte) timeEntry {
	return timeEntry{int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:]))}
}

// sparse builds the two indexes of a segment batch by batch, as Kafka does:
// an entry for the first batch after each interval of bytes.
type sparse struct {
	index        []indexEntry
	times        []timeEntry
	sinceEntry   int64
	maxTimestamp int64 // -1: none
	maxOffset    int64 // last offset of the batch that has it
}

func newSparse() sparse { return sparse{maxTimestamp: -1, maxOffset: -1} }

// add notes a batch of the segment that begins at base.
func (x *sparse) add(base int64, r Row, interval int32) {
	last := r.NextOffset() - 1
	if r.MaxTimestamp > x.maxTimestamp {
		x.maxTimestamp, x.maxOffset = r.MaxTimestamp, last
	}
	if x.sinceEntry > int64(interval) {
		x.index = append(x.index, indexEntry{int32(last - base), int32(r.Position)})
		x.noteTime(base)
		x.sinceEntry = 0
	}
	x.sinceEntry += int64(r.Size)
}

// noteTime adds an entry for the largest timestamp so far, if it has risen.
func (x *sparse) noteTime(base int64) {
	if x.maxTimestamp >= 0 && (len(x.times) == 0 || x.times[len(x.times)-1].timestamp < x.maxTimestamp) {
		x.times = append(x.times, timeEntry{x.maxTimestamp, int32(x.maxOffset - base)})
	}
}

// full says whether an index file has reached its largest size.
func (x *sparse) full(maxBytes int32) bool {
	return (len(x.index)+1)*indexEntrySize > int(maxBytes) || (len(x.times)+2)*timeEntrySize > int(maxBytes)
}

// floorEntry is the entry of the newest indexed batch whose last offset is at
// most relative; its offset is -1 if there is none.
func floorEntry(entries []indexEntry, relative int32) indexEntry {
	n, _ := slices.BinarySearchFunc(entries, relative, func(e indexEntry, want int32) int {
		if e.offset <= want {
			return -1
		}
		return 1
	})
	if n == 0 {
		return indexEntry{offset: -1}
	}
	return entries[n-1]
}

// floorEntryFile is floorEntry over an index file.
func floorEntryFile(file vfs.File, scratch []byte, relative int32) (indexEntry, error) {
	found := indexEntry{offset: -1}
	_, err := searchFile(file, scratch, indexEntrySize, func(b []byte) bool {
		e := decodeIndexEntry(b)
		if e.offset > relative {
			return false
		}
		found = e
		return true
	})
	return found, err
}

// searchFile finds how many leading entries of a file satisfy below, which is
// true for a prefix of them; its last true call is for the last of them.
func searchFile(file vfs.File, scratch []byte, entrySize int64, below func([]byte) bool) (int64, error) {
	size, err := file.Size()
	if err != nil {
		return 0, err
	}
	low, high := int64(0), size/entrySize
	for low < high {
		middle := (low + high) / 2
		if _, err := file.ReadAt(scratch[:entrySize], middle*entrySize); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if below(scratch[:entrySize]) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
