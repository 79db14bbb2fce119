package record

import (
	"fmt"
	"iter"
)

// A Record is one decoded record. Key, Value and header values may share
// memory with the batch or its Buffers.
type Record struct {
	Offset    int64
	Timestamp int64  // milliseconds; -1 for none
	Key       []byte // nil for null
	Value     []byte // nil for null
	Headers   []Header
}

// A Header is a key and a value that travel with a record (KIP-82).
type Header struct {
	Key   string
	Value []byte // nil for null
}

// Buffers is scratch memory that may be used for one batch after another, by
// one goroutine. Its zero value is ready.
type Buffers struct {
	// MaxBytes bounds the decompressed records of one batch; 0: 1 GiB, since a
	// stored batch has been validated under a stricter bound.
	MaxBytes int

	data []byte
}

// Records decodes the records in order. The keys and values of an uncompressed
// batch point into it, those of a compressed one into buf and end with the next
// use of buf. With a nil buf they live as long as they are held.
//
// Errors: ErrCorrupt ends the iteration. The checksum is not looked at.
func (b Batch) Records(buf *Buffers) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		data, err := b.payload(buf)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for n := range b.Count() {
			var v view
			size, why := walkRecord(data, &v)
			if why != "" {
				yield(Record{}, fmt.Errorf("record %d of %d: %s: %w", n, b.Count(), why, ErrCorrupt))
				return
			}
			if !yield(b.decode(data, &v), nil) {
				return
			}
			data = data[size:]
		}
		if len(data) > 0 {
			yield(Record{}, fmt.Errorf("%d bytes after the last record: %w", len(data), ErrCorrupt))
		}
	}
}

// payload is the encoded records, decompressed.
func (b Batch) payload(buf *Buffers) ([]byte, error) {
	if b.Codec() == CodecNone || len(b) == HeaderSize {
		return b[HeaderSize:], nil
	}
	if buf == nil {
		buf = new(Buffers)
	}
	limit := buf.MaxBytes
	if limit == 0 {
		limit = maxStored
	}
	data, err := decompress(buf.data, b[HeaderSize:], b.Codec(), &spending{limit: limit})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	buf.data = data
	return data, nil
}

func (b Batch) decode(data []byte, v *view) Record {
	r := Record{
		Offset:    b.BaseOffset() + int64(v.offsetDelta),
		Timestamp: b.BaseTimestamp() + v.timestampDelta,
	}
	if b.LogAppendTime() {
		r.Timestamp = b.MaxTimestamp()
	}
	if v.keySize >= 0 {
		r.Key = data[v.keyAt : v.keyAt+int(v.keySize) : v.keyAt+int(v.keySize)]
	}
	if v.valueSize >= 0 {
		r.Value = data[v.valueAt : v.valueAt+int(v.valueSize) : v.valueAt+int(v.valueSize)]
	}
	if v.headers > 0 {
		r.Headers = decodeHeaders(data, v)
	}
	return r
}

// decodeHeaders relies on walkRecord having seen that all of it is there.
func decodeHeaders(data []byte, v *view) []Header {
	headers := make([]Header, v.headers)
	at := v.headersAt
	for i := range headers {
		var size int32
		size, at = nullable(data, at)
		headers[i].Key = string(data[at-int(size) : at])
		if size, at = nullable(data, at); size >= 0 {
			headers[i].Value = data[at-int(size) : at : at]
		}
	}
	return headers
}
