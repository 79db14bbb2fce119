package log

import "github.com/oncelog/oncelog/protocol/record"

// A Kind says what an entry is to Kafka. Its numbers are on disk.
type Kind uint8

// The kinds of entries. Only a batch takes offsets and bytes of a segment.
const (
	KindBatch         Kind = 1
	KindVoid          Kind = 2 // a batch whose check no longer held when it was stored (hard-02)
	KindNoop          Kind = 3 // the first entry of a leadership
	KindBarrier       Kind = 4
	KindConfiguration Kind = 5 // the group's voters
	KindLogStart      Kind = 6 // an agreed log start offset, 8 bytes big endian (hard-33)
)

// valid says whether this program knows the kind.
func (k Kind) valid() bool { return k >= KindBatch && k <= KindLogStart }

// String is the kind's name, for messages and dumps.
func (k Kind) String() string {
	names := [...]string{"invalid", "batch", "void", "noop", "barrier", "configuration", "log-start"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// An Entry is what consensus asks to be stored at an index.
type Entry struct {
	Index, Term uint64
	Kind        Kind
	// Data is one record batch for KindBatch, else a payload that only its
	// writer understands (for KindLogStart: LogStartPayload). Append keeps none of it.
	Data []byte
	// LeaderAppend patches base offset and leader epoch (= Term) into Data;
	// without it they must be right already, as they are on a follower.
	LeaderAppend bool
	// BaseOffset is set by Append: the batch's first offset, or for other kinds
	// the log end offset at which they were stored.
	BaseOffset int64
}

// A Row is what the log knows of one raft index without reading its bytes.
type Row struct {
	Index, Term uint64
	Kind        Kind
	// Position is where the entry stands in its segment: the batch, or for other
	// kinds the place where the next batch will be.
	Position int64
	// Size is the bytes of the batch or of the payload. PayloadPosition is the
	// same as Position in the payload file, also of a payload that the row holds.
	Size            int32
	PayloadPosition int32
	// BaseOffset is the first offset, or for other kinds the log end offset at that moment.
	BaseOffset int64
	Count      int32  // number of offsets taken: 0 unless KindBatch
	CRC        uint32 // the batch's own CRC-32C, or that of the payload

	MaxTimestamp  int64
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Attributes    int16
	// CoordinatorEpoch and Commit are set when the batch is a transaction marker.
	CoordinatorEpoch int32
	Commit           bool

	inline string // the payload, if the row holds it; "": it is in the payload file
}

// Inline says that the row holds the payload, of an entry that is no batch.
func (r Row) Inline() bool { return r.inline != "" }

// Unplaced is the row without where its bytes are, which replicas decide for
// themselves (hard-34).
func (r Row) Unplaced() Row {
	r.Position, r.PayloadPosition, r.inline = 0, 0, ""
	return r
}

// payloadBytes is what the entry takes of the payload file.
func (r Row) payloadBytes() int64 {
	if r.Kind == KindBatch || r.Inline() {
		return 0
	}
	return int64(r.Size)
}

// attribute bits of a batch that rows repeat.
const (
	transactionalBit = 0x10
	controlBit       = 0x20
)

// NextOffset is the log end offset after this entry.
func (r Row) NextOffset() int64 { return r.BaseOffset + int64(r.Count) }

// IsTransactional says that the batch belongs to a transaction.
func (r Row) IsTransactional() bool { return r.Attributes&transactionalBit != 0 }

// IsControl says that the batch holds a marker.
func (r Row) IsControl() bool { return r.Attributes&controlBit != 0 }

// LastSequence is the sequence number of the last record, -1 for none.
func (r Row) LastSequence() int32 {
	if r.BaseSequence < 0 {
		return -1
	}
	return record.AddSequence(r.BaseSequence, r.Count-1)
}

// A Boundary is where the raft part of the log begins: everything up to and
// with Index is committed, and its rows are gone (hard-33).
type Boundary struct {
	Index, Term uint64
	// NextOffset is the first offset of the raft part.
	NextOffset int64
	// Configuration is the newest configuration payload at or below Index, and
	// ConfigurationIndex the index it was stored at.
	Configuration      []byte
	ConfigurationIndex uint64
}

// An AbortedTxn is one aborted transaction, as Fetch answers it and as the
// transaction index stores it. Source: org.apache.kafka.storage.internals.log.AbortedTxn.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64 // of its first batch
	LastOffset       int64 // of its marker
	LastStableOffset int64 // once it was closed
}
