package txn

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

const (
	keyVersion   = 0
	valueVersion = 1
)

// Tags of the stored form. The first three are those of Kafka 4.3.1, whose reader
// skips the others. docs/format/transaction-state.md has the byte boxes.
const (
	tagPrevProducerID = 0 // int64
	tagNextProducerID = 1 // int64
	tagClientVersion  = 2 // int16
	// tagLastProducerEpoch (int16) is where Kafka keeps the field from 4.4 on
	// (KAFKA-20357): a repeated InitProducerId is known after a failover.
	tagLastProducerEpoch = 4
	// tagTopicID (topic entry, 16 bytes) is our own: no marker reaches a topic
	// that was created anew under the name (hard-14).
	tagTopicID = 10_000
)

// encode is the record that stores t for a transactional id; a nil t is its
// tombstone.
func encode(id string, t *Transaction, now time.Time) record.Record {
	key := make([]byte, 0, 4+len(id))
	key = binary.BigEndian.AppendUint16(key, keyVersion)
	key = binary.BigEndian.AppendUint16(key, uint16(len(id)))
	r := record.Record{Timestamp: now.UnixMilli(), Key: append(key, id...)}
	if t != nil {
		r.Value = encodeValue(t)
	}
	return r
}

// encodeValue writes a TransactionLogValue.
func encodeValue(t *Transaction) []byte {
	b := make([]byte, 0, 128+4*len(t.Participants))
	b = binary.BigEndian.AppendUint16(b, valueVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(t.ProducerID))
	b = binary.BigEndian.AppendUint16(b, uint16(t.ProducerEpoch))
	b = binary.BigEndian.AppendUint32(b, uint32(t.timeoutMs()))
	b = append(b, byte(t.State))
	if t.State == Empty {
		b = append(b, 0) // null, as Kafka writes it
	} else {
		b = appendParticipants(b, t.Participants)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.LastUpdate))
	b = binary.BigEndian.AppendUint64(b, uint64(t.StartTime))
	tags := len(b)
	b = append(b, 0)
	if t.PrevProducerID != NoProducerID {
		b[tags]++
		b = binary.BigEndian.AppendUint64(append(b, tagPrevProducerID, 8), uint64(t.PrevProducerID))
	}
	if t.NextProducerID != NoProducerID {
		b[tags]++
		b = binary.BigEndian.AppendUint64(append(b, tagNextProducerID, 8), uint64(t.NextProducerID))
	}
	if t.ClientVersion != TV0 {
		b[tags]++
		b = binary.BigEndian.AppendUint16(append(b, tagClientVersion, 2), uint16(t.ClientVersion))
	}
	if t.LastProducerEpoch != NoProducerEpoch {
		b[tags]++
		b = binary.BigEndian.AppendUint16(append(b, tagLastProducerEpoch, 2), uint16(t.LastProducerEpoch))
	}
	return b
}

// appendParticipants writes sorted participants, grouped by topic.
func appendParticipants(b []byte, ps []Participant) []byte {
	topics := 0
	for rest := ps; len(rest) > 0; rest = rest[ofOneTopic(rest):] {
		topics++
	}
	b = binary.AppendUvarint(b, uint64(topics)+1)
	for len(ps) > 0 {
		topic, n := ps[0], ofOneTopic(ps)
		b = binary.AppendUvarint(b, uint64(len(topic.Topic))+1)
		b = append(b, topic.Topic...)
		b = binary.AppendUvarint(b, uint64(n)+1)
		for _, p := range ps[:n] {
			b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
		}
		if topic.TopicID == ([16]byte{}) {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(append(b, 1), tagTopicID)
			b = append(append(b, byte(len(topic.TopicID))), topic.TopicID[:]...)
		}
		ps = ps[n:]
	}
	return b
}

// ofOneTopic is how many participants at the start of ps are of one topic.
func ofOneTopic(ps []Participant) int {
	n := slices.IndexFunc(ps, func(p Participant) bool { return p.Topic != ps[0].Topic || p.TopicID != ps[0].TopicID })
	if n < 0 {
		return len(ps)
	}
	return n
}

// decode reads what encode or Kafka wrote: t is nil for a tombstone.
func decode(r record.Record) (id string, t *Transaction, err error) {
	key := reader{rest: r.Key}
	if version := key.int16(); version != keyVersion {
		return "", nil, fmt.Errorf("key version %d, known is %d", version, keyVersion)
	}
	id = key.text()
	switch {
	case key.cut:
		return "", nil, fmt.Errorf("key of %d bytes is shorter than its length says", len(r.Key))
	case r.Value == nil:
		return id, nil, nil
	}
	if t, err = decodeValue(r.Value); err != nil {
		return "", nil, fmt.Errorf("transactional id %q: %w", id, err)
	}
	return id, t, nil
}

// decodeValue reads a TransactionLogValue of version 0 or 1.
func decodeValue(b []byte) (*Transaction, error) {
	r := reader{rest: b}
	version := r.int16()
	if r.cut || version < 0 || version > valueVersion {
		return nil, fmt.Errorf("value of %d bytes, version %d, known are 0 to %d", len(b), version, valueVersion)
	}
	r.flexible = version > 0
	t := &Transaction{LastProducerEpoch: NoProducerEpoch, PrevProducerID: NoProducerID, NextProducerID: NoProducerID}
	t.ProducerID = r.int64()
	t.ProducerEpoch = r.int16()
	t.Timeout = time.Duration(r.int32()) * time.Millisecond
	t.State = State(r.int8())
	t.Participants = r.participants()
	t.LastUpdate = r.int64()
	t.StartTime = r.int64()
	for range r.tags() {
		tag, value := r.tag()
		switch tag {
		case tagPrevProducerID:
			t.PrevProducerID = value.int64()
		case tagNextProducerID:
			t.NextProducerID = value.int64()
		case tagClientVersion:
			t.ClientVersion = value.int16()
		case tagLastProducerEpoch:
			t.LastProducerEpoch = value.int16()
		}
		r.cut = r.cut || value.cut
	}
	switch {
	case r.cut:
		return nil, fmt.Errorf("value of %d bytes is shorter than its lengths say", len(b))
	case t.State < 0 || t.State >= Dead:
		return nil, fmt.Errorf("state %d cannot be stored", t.State)
	}
	return t, nil
}

// participants reads the topics of a value.
func (r *reader) participants() []Participant {
	var ps []Participant
	for range r.count(1) {
		first := len(ps)
		p := Participant{Topic: r.text()}
		for range r.count(4) {
			p.Partition = r.int32()
			ps = append(ps, p)
		}
		for range r.tags() {
			if tag, value := r.tag(); tag == tagTopicID && len(value.rest) == len(p.TopicID) {
				for i := range ps[first:] {
					ps[first+i].TopicID = [16]byte(value.rest)
				}
			}
		}
	}
	slices.SortFunc(ps, compareParticipants)
	return slices.Compact(ps)
}
