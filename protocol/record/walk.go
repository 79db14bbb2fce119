package record

import (
	"encoding/binary"
	"math"
)

// view is one encoded record, taken apart but not copied.
type view struct {
	timestampDelta int64
	offsetDelta    int32
	keySize        int32 // -1 for null
	valueSize      int32 // -1 for null
	headers        int32
	// Positions within the walked bytes.
	keyAt, valueAt, headersAt int
}

// A flaw is why a record cannot be right, "" for none.
type flaw string

// walkRecord takes the record at the start of b apart and gives its size in
// bytes. It allocates nothing.
//
// Source: org.apache.kafka.common.record.DefaultRecord, which is laxer: it
// lets lengths below -1 pass.
func walkRecord(b []byte, v *view) (size int, why flaw) {
	length, at := varint(b, 0)
	if at < 0 || length < 0 || int(length) > len(b)-at {
		return 0, "record size runs over the batch"
	}
	end := at + int(length)
	b = b[:end]
	if at == end {
		return 0, "record has no attributes"
	}
	if v.timestampDelta, at = varlong(b, at+1); at < 0 {
		return 0, "timestamp delta is no varint"
	}
	if v.offsetDelta, at = varint(b, at); at < 0 {
		return 0, "offset delta is no varint"
	}
	if v.keySize, at = nullable(b, at); at < 0 {
		return 0, "key length is below -1 or over the record"
	}
	v.keyAt = at - int(max(v.keySize, 0))
	if v.valueSize, at = nullable(b, at); at < 0 {
		return 0, "value length is below -1 or over the record"
	}
	v.valueAt = at - int(max(v.valueSize, 0))
	if v.headers, at = varint(b, at); at < 0 || v.headers < 0 || int(v.headers) > (end-at)/2 {
		return 0, "header count is negative or over the record"
	}
	v.headersAt = at
	for range v.headers {
		var keySize int32
		if keySize, at = nullable(b, at); at < 0 || keySize < 0 {
			return 0, "header key is null or over the record"
		}
		if _, at = nullable(b, at); at < 0 {
			return 0, "header value length is below -1 or over the record"
		}
	}
	if at != end {
		return 0, "record is longer than its fields"
	}
	return end, ""
}

// nullable reads a varint length and passes over as many bytes. The new
// position is -1 when that cannot be.
func nullable(b []byte, at int) (size int32, next int) {
	size, at = varint(b, at)
	if at < 0 || size < -1 || int(size) > len(b)-at {
		return 0, -1
	}
	return size, at + int(max(size, 0))
}

// varint reads a zigzag varint of at most 32 bits at position at. The new
// position is -1 when there is none.
func varint(b []byte, at int) (value int32, next int) {
	if at < len(b) && b[at] < 0x80 {
		u := uint32(b[at])
		return int32(u>>1) ^ -int32(u&1), at + 1
	}
	long, next := uvarint(b, at, binary.MaxVarintLen32)
	if next < 0 || long > math.MaxUint32 {
		return 0, -1
	}
	u := uint32(long)
	return int32(u>>1) ^ -int32(u&1), next
}

// varlong is varint for 64 bits.
func varlong(b []byte, at int) (value int64, next int) {
	u, next := uvarint(b, at, binary.MaxVarintLen64)
	return int64(u>>1) ^ -int64(u&1), next
}

func uvarint(b []byte, at, maxBytes int) (value uint64, next int) {
	if at > len(b) {
		return 0, -1
	}
	value, n := binary.Uvarint(b[at:min(len(b), at+maxBytes)])
	if n <= 0 {
		return 0, -1
	}
	return value, at + n
}
