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
	MaxBytes      int   // max.message.bytes, for a recompressed batch; 0: no limit
}

// Rewrite brings a validated batch into its stored form. Most batches come back
// as they are. A wrong maximal timestamp and LogAppendTime are patched in place;
// another codec gives a new batch.
//
// Errors: MessageTooLarge when the recompressed batch is over the limit.
func Rewrite(b Batch, info Info, t Target) (Batch, error) {
	if t.Codec != KeepCodec && t.Codec != b.Codec() {
		recoded, err := b.recode(t.Codec)
		if err != nil {
			return nil, err
		}
		if t.MaxBytes > 0 && len(recoded) > t.MaxBytes {
			return nil, invalid(kerr.MessageTooLarge, "recompressed batch of %d bytes, limit %d", len(recoded), t.MaxBytes)
		}
		b = recoded
	}
	if t.LogAppendTime > 0 {
		b.SetLogAppendTime(t.LogAppendTime)
	} else if info.MaxTimestamp != b.MaxTimestamp() {
		b.setMaxTimestamp(info.MaxTimestamp)
		b.seal()
	}
	return b, nil
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
