package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/planted"
)

// defaultDecompressed leaves room for 64 MiB of values and what frames them.
const defaultDecompressed = 64<<20 + 64<<10

// Limits is what the topic and the broker allow a client's batch.
type Limits struct {
	MaxBytes int   // max.message.bytes; 0: no limit
	Now      int64 // the broker's clock in milliseconds
	// TimestampBefore and TimestampAfter bound how far a record's timestamp
	// may lie before and after Now; 0: no limit, less than 1 ms: not at all
	// (message.timestamp.before.max.ms, message.timestamp.after.max.ms).
	TimestampBefore, TimestampAfter time.Duration
	// LogAppendTime says that the topic's timestamps are the broker's, so that
	// those of the client do not count (message.timestamp.type).
	LogAppendTime bool
	Compacted     bool    // records need a key (cleanup.policy=compact)
	NoZstd        bool    // Produce before v7
	Decompressed  int     // bytes of one batch, decompressed; 0: 64 MiB
	Budget        *Budget // of the process; nil: none
}

// Info is what validation found besides.
type Info struct {
	MaxTimestamp int64 // largest record timestamp in milliseconds, -1 for none
	RawBytes     int   // the records decompressed
}

// Invalid says which rule a batch broke. It unwraps to a *kerr.Error.
type Invalid struct {
	Record int32 // index within the batch, -1 when the batch itself is wrong
	Reason string
	Err    *kerr.Error
	More   []Rejected // the further records that were rejected; maxRejected at most
}

// Rejected is a record that the topic does not take: it lacks a key, or its
// timestamp is out of bounds. The client fails it for that reason, and the rest
// of the batch for being in its company (KIP-467).
type Rejected struct {
	Record int32 // index within the batch
	Reason string
}

// maxRejected bounds the records that an answer names, so that it is no larger
// than the request by much.
const maxRejected = 1000

// Error has the record, the reason and Kafka's name of the code.
func (e *Invalid) Error() string {
	if e.Record < 0 {
		return e.Reason + ": " + e.Err.Message
	}
	return fmt.Sprintf("record %d: %s: %s", e.Record, e.Reason, e.Err.Message)
}

// Unwrap gives the Kafka error.
func (e *Invalid) Unwrap() error { return e.Err }

func invalid(code *kerr.Error, format string, args ...any) error {
	return &Invalid{Record: -1, Reason: fmt.Sprintf(format, args...), Err: code}
}

// Validate checks that b is exactly one batch that a client may append. It
// changes nothing; Rewrite brings the batch into the form that is stored.
//
// Every record is walked: in place without an allocation, or, when compressed,
// in a pooled buffer. It is stricter than Kafka: offset deltas count 0, 1, 2,
// lengths are -1 or more, timestamps are -1 or more.
//
// Errors are *Invalid: InvalidRecord, CorruptMessage, InvalidTimestamp,
// MessageTooLarge, UnsupportedCompressionType, and RequestTimedOut when the
// budget is spent (the client tries again). Source: ProduceRequest.validateRecords,
// UnifiedLog.analyzeAndValidateRecords, LogValidator.
func Validate(b []byte, l Limits) (Batch, Info, error) {
	batch, err := one(b)
	if err != nil {
		return nil, Info{}, err
	}
	if err := l.checkHeader(batch); err != nil {
		return nil, Info{}, err
	}
	info, err := l.checkRecords(batch)
	if err != nil {
		return nil, Info{}, err
	}
	return batch, info, nil
}

// one checks the framing: b is one batch of magic 2, whole, and no more.
func one(b []byte) (Batch, error) {
	if len(b) <= magicAt {
		return nil, invalid(kerr.InvalidRecord, "%d bytes are no record batch", len(b))
	}
	batch := Batch(b)
	length, magic := batch.Length(), batch.Magic()
	if length < HeaderSize-LogOverhead || length > math.MaxInt32-LogOverhead {
		return nil, invalid(kerr.CorruptMessage, "batch length %d", length)
	}
	switch {
	case magic < 0 || magic > magicV2:
		return nil, invalid(kerr.CorruptMessage, "batch magic %d", magic)
	case magic < magicV2:
		return nil, invalid(kerr.InvalidRecord, "batch magic %d, want %d", magic, magicV2)
	case batch.Size() > len(b):
		return nil, invalid(kerr.InvalidRecord, "batch of %d bytes is cut after %d", batch.Size(), len(b))
	case batch.Size() < len(b):
		return nil, invalid(kerr.InvalidRecord, "%d bytes follow the batch; a partition takes one batch", len(b)-batch.Size())
	}
	return batch, nil
}

// checkHeader is everything that needs no record, with the checksum.
func (l *Limits) checkHeader(b Batch) error {
	attributes := binary.BigEndian.Uint16(b[attributesAt:])
	switch {
	case b.BaseOffset() != 0:
		return invalid(kerr.InvalidRecord, "base offset %d, want 0", b.BaseOffset())
	case l.MaxBytes > 0 && len(b) > l.MaxBytes:
		return invalid(kerr.MessageTooLarge, "batch of %d bytes, limit %d", len(b), l.MaxBytes)
	case b.CRC() != b.Checksum() && !planted.Is(planted.ChecksumUnread):
		return invalid(kerr.CorruptMessage, "checksum %#08x, computed %#08x", b.CRC(), b.Checksum())
	case b.Codec() > CodecZstd:
		return invalid(kerr.UnsupportedCompressionType, "codec %d", b.Codec())
	case b.Codec() == CodecZstd && l.NoZstd:
		return invalid(kerr.UnsupportedCompressionType, "zstd needs Produce v7")
	case attributes&controlBit != 0 && !planted.Is(planted.ControlAccepted):
		return invalid(kerr.InvalidRecord, "clients may not write control batches")
	case attributes&deleteHorizonBit != 0:
		return invalid(kerr.InvalidRecord, "clients may not set a delete horizon")
	case attributes&logAppendTimeBit != 0:
		return invalid(kerr.InvalidTimestamp, "clients may not set LogAppendTime")
	case b.Count() <= 0:
		return invalid(kerr.InvalidRecord, "record count %d", b.Count())
	case b.LastOffsetDelta() != b.Count()-1:
		return invalid(kerr.InvalidRecord, "last offset delta %d with %d records", b.LastOffsetDelta(), b.Count())
	}
	return checkProducer(b)
}

func checkProducer(b Batch) error {
	switch {
	case b.ProducerID() < -1:
		return invalid(kerr.InvalidRecord, "producer id %d", b.ProducerID())
	case b.ProducerID() == -1 && b.IsTransactional():
		return invalid(kerr.InvalidRecord, "transactional batch without a producer id")
	case b.ProducerID() == -1:
		return nil
	case b.BaseSequence() < 0:
		return invalid(kerr.InvalidRecord, "base sequence %d with producer id %d", b.BaseSequence(), b.ProducerID())
	case b.ProducerEpoch() < 0:
		return invalid(kerr.InvalidRecord, "producer epoch %d with producer id %d", b.ProducerEpoch(), b.ProducerID())
	}
	return nil
}

// scratch holds the *Buffers of compressed batches.
var scratch = sync.Pool{New: func() any { return new(Buffers) }}

// keepScratch is the largest buffer, in bytes, that is kept for the next batch.
const keepScratch = 4 << 20

func (l *Limits) checkRecords(b Batch) (info Info, err error) {
	err = b.decompressed(l.Decompressed, l.Budget, func(data []byte) error {
		info, err = l.walk(b, data)
		return err
	})
	return info, err
}

// decompressed calls use with the encoded records of a client's batch, which are
// gone when it returns: in place or, when compressed, in pooled memory that the
// limit (0: 64 MiB) and the budget allow.
//
// Errors: MessageTooLarge, RequestTimedOut, CorruptMessage, those of use.
func (b Batch) decompressed(limit int, budget *Budget, use func(data []byte) error) error {
	if b.Codec() == CodecNone {
		return use(b[HeaderSize:])
	}
	buf := scratch.Get().(*Buffers)
	defer func() {
		if cap(buf.data) <= keepScratch {
			scratch.Put(buf)
		}
	}()
	spent := spending{limit: limit, budget: budget}
	if spent.limit == 0 {
		spent.limit = defaultDecompressed
	}
	defer spent.release()
	data, err := decompress(buf.data, b[HeaderSize:], b.Codec(), &spent)
	switch {
	case errors.Is(err, errTooLarge):
		return invalid(kerr.MessageTooLarge, "%v", err)
	case errors.Is(err, errBudget):
		return invalid(kerr.RequestTimedOut, "%v", err)
	case err != nil:
		return invalid(kerr.CorruptMessage, "%v", err)
	}
	buf.data = data
	return use(data)
}

// walk checks all records of the batch; data holds them decompressed.
func (l *Limits) walk(b Batch, data []byte) (Info, error) {
	info := Info{MaxTimestamp: -1, RawBytes: len(data)}
	base := b.BaseTimestamp()
	var wrong *Invalid
	for i := range b.Count() {
		var v view
		size, why := walkRecord(data, &v)
		switch {
		case why != "":
			return info, &Invalid{Record: i, Reason: string(why), Err: kerr.InvalidRecord}
		case v.offsetDelta != i:
			return info, &Invalid{Record: i, Reason: fmt.Sprintf("offset delta %d", v.offsetDelta), Err: kerr.InvalidRecord}
		}
		timestamp := base + v.timestampDelta
		if reason, code := l.judge(&v, base); code != nil {
			wrong = wrong.and(Rejected{i, reason}, code)
		}
		info.MaxTimestamp = max(info.MaxTimestamp, timestamp)
		data = data[size:]
	}
	if len(data) > 0 {
		return info, invalid(kerr.InvalidRecord, "%d bytes after record %d, the last", len(data), b.Count()-1)
	}
	if wrong != nil {
		return info, wrong
	}
	return info, nil
}

// and adds a rejected record. As in Kafka one timestamp decides the code of the
// batch. Source: LogValidator.processRecordErrors.
func (e *Invalid) and(r Rejected, code *kerr.Error) *Invalid {
	if e == nil {
		return &Invalid{Record: r.Record, Reason: r.Reason, Err: code}
	}
	if code == kerr.InvalidTimestamp {
		e.Err = code
	}
	if len(e.More) < maxRejected {
		e.More = append(e.More, r)
	}
	return e
}

// judge says why the topic does not take a record; a nil code means it does.
func (l *Limits) judge(v *view, base int64) (reason string, code *kerr.Error) {
	timestamp := base + v.timestampDelta
	switch {
	case l.Compacted && v.keySize < 0:
		return "a compacted topic needs a key in each record", kerr.InvalidRecord
	case l.LogAppendTime || timestamp == -1 || l.inTime(timestamp, base, v.timestampDelta):
		return "", nil
	}
	return fmt.Sprintf("timestamp %d at %d, allowed %s before and %s after", timestamp, l.Now, l.TimestampBefore, l.TimestampAfter), kerr.InvalidTimestamp
}

func (l *Limits) inTime(timestamp, base, delta int64) bool {
	overflow := (delta > 0) != (timestamp > base) && delta != 0
	late := l.TimestampBefore != 0 && timestamp < l.Now-l.TimestampBefore.Milliseconds()
	early := l.TimestampAfter != 0 && timestamp > l.Now+l.TimestampAfter.Milliseconds()
	return timestamp >= -1 && !overflow && !late && !early
}
