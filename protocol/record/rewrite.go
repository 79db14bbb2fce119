package record

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"
)

// KeepCodec is compression.type=producer.
const KeepCodec int8 = -1

// Target is the form that a topic stores batches in.
type Target struct {
	LogAppendTime int64 // the append time in milliseconds; 0: the client's timestamps
	Codec         int8  // compression.type; KeepCodec: as sent
	Level         int   // compression.gzip.level and the like of that codec, where it recompresses
	MaxBytes      int   // max.message.bytes, for a recompressed batch; 0: no limit
	// Budget of the process, for recompressing; nil: none.
	Budget *Budget
}

// Rewrite brings a validated batch into its stored form. Most batches come back
// as they are. A wrong maximal timestamp and LogAppendTime are patched in place;
// another codec gives a new batch.
//
// Errors are *Invalid: MessageTooLarge when the recompressed batch is over the
// limit, RequestTimedOut when the budget is spent.
func Rewrite(b Batch, info Info, t Target) (Batch, error) {
	if t.Codec != KeepCodec && t.Codec != b.Codec() {
		var err error
		if b, err = b.recode(info, t); err != nil {
			return nil, err
		}
	}
	if t.LogAppendTime > 0 {
		b.SetLogAppendTime(t.LogAppendTime)
	} else if info.MaxTimestamp != b.MaxTimestamp() {
		b.setMaxTimestamp(info.MaxTimestamp)
		b.seal()
	}
	return b, nil
}

// recode copies the batch with its records in the target's codec. One that would
// be too large uncompressed is refused before it takes the memory.
func (b Batch) recode(info Info, t Target) (recoded Batch, err error) {
	tooLarge := func(size int) error {
		if t.MaxBytes <= 0 || size <= t.MaxBytes {
			return nil
		}
		return invalid(kerr.MessageTooLarge, "recompressed batch of %d bytes, limit %d", size, t.MaxBytes)
	}
	if t.Codec == CodecNone {
		if err := tooLarge(HeaderSize + info.RawBytes); err != nil {
			return nil, err
		}
	}
	err = b.decompressed(info.RawBytes, t.Budget, func(data []byte) error {
		recoded = b.with(data, t.Codec, t.Level)
		return tooLarge(len(recoded))
	})
	return recoded, err
}

// SetLogAppendTime makes the broker's append time, in milliseconds, the
// timestamp of all records, and computes the checksum anew.
func (b Batch) SetLogAppendTime(timestamp int64) {
	b.setAttributes(uint16(b.Attributes()) | logAppendTimeBit)
	b.setMaxTimestamp(timestamp)
	b.seal()
}

func (b Batch) setMaxTimestamp(timestamp int64) {
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(timestamp))
}

func (b Batch) setAttributes(attributes uint16) {
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
}
