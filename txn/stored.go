package txn

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// Tags of the stored form beyond those of Kafka 4.3.1, whose reader skips them.
// docs/format/transaction-state.md has the byte boxes.
const (
	// tagLastProducerEpoch (value, int16) is where Kafka keeps the field from 4.4
	// on (KAFKA-20357): a repeated InitProducerId is known after a failover.
	tagLastProducerEpoch = 4
	// tagTopicID (topic entry, 16 bytes) is our own: no marker reaches a topic
	// that was created anew under the name (hard-14).
	tagTopicID = 10_000
)

const (
	keyVersion   = 0
	valueVersion = 1
)

// encode is the record that stores t for a transactional id; a nil t is its
// tombstone.
func encode(id string, t *Transaction, now time.Time) record.Record {
	key := kmsg.NewTxnMetadataKey()
	key.Version, key.TransactionalID = keyVersion, id
	r := record.Record{Timestamp: now.UnixMilli(), Key: key.AppendTo(nil)}
	if t != nil {
		r.Value = encodeValue(t)
	}
	return r
}

func encodeValue(t *Transaction) []byte {
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersion
	v.ProducerID, v.PreviousProducerID, v.NextProducerID = t.ProducerID, t.PrevProducerID, t.NextProducerID
	v.ProducerEpoch = t.ProducerEpoch
	v.TimeoutMillis = t.timeoutMs()
	v.State = kmsg.TransactionState(t.State)
	v.LastUpdateTimestamp, v.StartTimestamp = t.LastUpdate, t.StartTime
	v.ClientTransactionVersion = t.ClientVersion
	if t.LastProducerEpoch != NoProducerEpoch {
		v.UnknownTags.Set(tagLastProducerEpoch, binary.BigEndian.AppendUint16(nil, uint16(t.LastProducerEpoch)))
	}
	if t.State != Empty {
		v.Topics = encodeParticipants(t.Participants)
	}
	return v.AppendTo(nil)
}

// encodeParticipants groups sorted participants by topic. It is not nil, as
// Kafka writes null for Empty only.
func encodeParticipants(ps []Participant) []kmsg.TxnMetadataValueTopic {
	topics := []kmsg.TxnMetadataValueTopic{}
	for i, p := range ps {
		if i == 0 || p.Topic != ps[i-1].Topic || p.TopicID != ps[i-1].TopicID {
			topic := kmsg.NewTxnMetadataValueTopic()
			topic.Topic = p.Topic
			if p.TopicID != ([16]byte{}) {
				topic.UnknownTags.Set(tagTopicID, slices.Clone(p.TopicID[:]))
			}
			topics = append(topics, topic)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, p.Partition)
	}
	return topics
}

// decode reads what encode or Kafka wrote: t is nil for a tombstone.
func decode(r record.Record) (id string, t *Transaction, err error) {
	var key kmsg.TxnMetadataKey
	if err := key.ReadFrom(r.Key); err != nil {
		return "", nil, fmt.Errorf("key: %w", err)
	}
	if key.Version != keyVersion {
		return "", nil, fmt.Errorf("key version %d, known is %d", key.Version, keyVersion)
	}
	if r.Value == nil {
		return key.TransactionalID, nil, nil
	}
	t, err = decodeValue(r.Value)
	if err != nil {
		return "", nil, fmt.Errorf("transactional id %q: %w", key.TransactionalID, err)
	}
	return key.TransactionalID, t, nil
}

func decodeValue(b []byte) (*Transaction, error) {
	var v kmsg.TxnMetadataValue
	if len(b) < 2 {
		return nil, fmt.Errorf("value of %d bytes", len(b))
	}
	if version := int16(binary.BigEndian.Uint16(b)); version < 0 || version > valueVersion {
		return nil, fmt.Errorf("value version %d, known are 0 to %d", version, valueVersion)
	}
	if !walkable(b) {
		return nil, fmt.Errorf("value of %d bytes is shorter than its lengths say", len(b))
	}
	if err := v.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	t := &Transaction{
		State: State(v.State), ProducerID: v.ProducerID, ProducerEpoch: v.ProducerEpoch,
		LastProducerEpoch: NoProducerEpoch, PrevProducerID: v.PreviousProducerID, NextProducerID: v.NextProducerID,
		Timeout:   time.Duration(v.TimeoutMillis) * time.Millisecond,
		StartTime: v.StartTimestamp, LastUpdate: v.LastUpdateTimestamp, ClientVersion: v.ClientTransactionVersion,
	}
	if v.State < 0 || t.State >= Dead {
		return nil, fmt.Errorf("state %d cannot be stored", v.State)
	}
	v.UnknownTags.Each(func(tag uint32, b []byte) {
		if tag == tagLastProducerEpoch && len(b) == 2 {
			t.LastProducerEpoch = int16(binary.BigEndian.Uint16(b))
		}
	})
	t.Participants = decodeParticipants(v.Topics)
	return t, nil
}

func decodeParticipants(topics []kmsg.TxnMetadataValueTopic) []Participant {
	var ps []Participant
	for _, topic := range topics {
		p := Participant{Topic: topic.Topic}
		topic.UnknownTags.Each(func(tag uint32, b []byte) {
			if tag == tagTopicID && len(b) == len(p.TopicID) {
				p.TopicID = [16]byte(b)
			}
		})
		for _, p.Partition = range topic.Partitions {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, compareParticipants)
	return slices.Compact(ps)
}
