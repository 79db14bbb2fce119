package record

import (
	"encoding/binary"
	"fmt"
)

// Types of control records, the second field of their key.
// Source: org.apache.kafka.common.record.ControlRecordType.
const (
	controlAbort  = 0
	controlCommit = 1
)

// A Control is a transaction marker: the end of one producer's transaction in
// one partition.
type Control struct {
	Commit           bool // false: abort
	CoordinatorEpoch int32
}

// NewMarker makes the control batch that ends the transaction of a producer.
// The timestamp is in milliseconds. Source: org.apache.kafka.common.record.EndTransactionMarker,
// key and value in version 0.
func NewMarker(producerID int64, producerEpoch int16, c Control, timestamp int64) Batch {
	kind := uint16(controlAbort)
	if c.Commit {
		kind = controlCommit
	}
	key := binary.BigEndian.AppendUint16([]byte{0, 0}, kind)
	value := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(c.CoordinatorEpoch))
	b := NewBuilder(BuilderOptions{
		ProducerID: producerID, ProducerEpoch: producerEpoch, BaseSequence: -1,
		Transactional: true, LeaderEpoch: -1, control: true,
	})
	b.Append(Record{Timestamp: timestamp, Key: key, Value: value})
	return b.Build()
}

// Control decodes a control batch. ok is false for a batch of data, and for a
// control record that is no transaction marker.
//
// Errors: ErrCorrupt.
func (b Batch) Control() (c Control, ok bool, err error) {
	if !b.IsControl() {
		return c, false, nil
	}
	for r, err := range b.Records(nil) {
		if err != nil {
			return c, false, err
		}
		return r.control()
	}
	return c, false, nil // compaction may leave a control batch empty
}

func (r Record) control() (c Control, ok bool, err error) {
	if len(r.Key) < 4 {
		return c, false, fmt.Errorf("control record key of %d bytes: %w", len(r.Key), ErrCorrupt)
	}
	kind := binary.BigEndian.Uint16(r.Key[2:])
	if kind != controlAbort && kind != controlCommit {
		return c, false, nil
	}
	if len(r.Value) < 6 {
		return c, false, fmt.Errorf("transaction marker value of %d bytes: %w", len(r.Value), ErrCorrupt)
	}
	c.Commit = kind == controlCommit
	c.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
	return c, true, nil
}
