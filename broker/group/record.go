package group

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// Versions written, those of Kafka 4.3. Source: GroupCoordinatorRecordHelpers.
const (
	offsetCommitKeyVersion    = 1
	groupMetadataKeyVersion   = 2
	offsetCommitValueVersion  = 4 // with the topic id as a tagged field
	offsetCommitValueExpires  = 1 // with an expire timestamp of its own (OffsetCommit v2-4)
	groupMetadataValueVersion = 3
	flexibleValueVersion      = 4 // of committed offsets; they end with tags
)

// offsetKey is the key of a committed offset.
func offsetKey(group string, p partition) []byte {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = offsetCommitKeyVersion, group, p.topic, p.index
	return k.AppendTo(nil)
}

// offsetRecord commits an offset.
func offsetRecord(group string, p partition, c committed, now time.Time) record.Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version = offsetCommitValueVersion
	if c.expireMs >= 0 {
		v.Version, v.ExpireTimestamp = offsetCommitValueExpires, c.expireMs
	}
	v.Offset, v.LeaderEpoch, v.Metadata = c.offset, c.leaderEpoch, c.metadata
	v.CommitTimestamp, v.TopicID = c.commitMs, c.topicID
	return record.Record{Timestamp: now.UnixMilli(), Key: offsetKey(group, p), Value: v.AppendTo(nil)}
}

// offsetTombstone removes an offset.
func offsetTombstone(group string, p partition, now time.Time) record.Record {
	return record.Record{Timestamp: now.UnixMilli(), Key: offsetKey(group, p)}
}

func metadataKey(group string) []byte {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = groupMetadataKeyVersion, group
	return k.AppendTo(nil)
}

// metadataRecord stores the durable part of a group.
func metadataRecord(group string, v kmsg.GroupMetadataValue, now time.Time) record.Record {
	return record.Record{Timestamp: now.UnixMilli(), Key: metadataKey(group), Value: v.AppendTo(nil)}
}

// metadataTombstone deletes a group.
func metadataTombstone(group string, now time.Time) record.Record {
	return record.Record{Timestamp: now.UnixMilli(), Key: metadataKey(group)}
}

// recordSize is about what a record takes in a batch, in bytes.
func recordSize(r record.Record) int { return len(r.Key) + len(r.Value) + 32 }

// keyVersion is the int16 that begins every key and says what the record is.
func keyVersion(key []byte) (int16, error) {
	if len(key) < 2 {
		return 0, fmt.Errorf("key of %d bytes in __consumer_offsets", len(key))
	}
	return int16(binary.BigEndian.Uint16(key)), nil
}

// checkValue refuses a value newer than newest, and a committed offset whose tags
// cannot all be there: kmsg would count through 2^32 of them.
func checkValue(value []byte, newest int16) error {
	if len(value) < 2 {
		return fmt.Errorf("value of %d bytes", len(value))
	}
	version := int16(binary.BigEndian.Uint16(value))
	if version > newest {
		return fmt.Errorf("value version %d, this build knows %d", version, newest)
	}
	if version < flexibleValueVersion {
		return nil
	}
	rest := value[min(len(value), 2+8+4):] // behind version, offset and leader epoch
	size, n := binary.Uvarint(rest)
	if end := uint64(n) + max(size, 1) - 1 + 8; n <= 0 || size > uint64(len(rest)) || end > uint64(len(rest)) {
		return fmt.Errorf("value of %d bytes is cut short", len(value))
	} else if tags, n := binary.Uvarint(rest[end:]); n <= 0 || tags > uint64(len(rest))/2 {
		return fmt.Errorf("value of %d bytes with %d tags", len(value), tags)
	}
	return nil
}

// decodeOffset reads a committed offset; tombstone is true when there is no value.
func decodeOffset(r record.Record) (group string, p partition, c committed, tombstone bool, err error) {
	k := kmsg.NewOffsetCommitKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return "", p, c, false, fmt.Errorf("key of a committed offset: %w", err)
	}
	p = partition{k.Topic, k.Partition}
	if r.Value == nil {
		return k.Group, p, c, true, nil
	}
	v := kmsg.NewOffsetCommitValue()
	err = checkValue(r.Value, offsetCommitValueVersion)
	if err == nil {
		err = v.ReadFrom(r.Value)
	}
	if err != nil {
		return "", p, c, false, fmt.Errorf("committed offset of group %q: %w", k.Group, err)
	}
	c = committed{
		recordOffset: r.Offset,
		offset:       v.Offset,
		leaderEpoch:  -1,
		metadata:     v.Metadata,
		commitMs:     v.CommitTimestamp,
		expireMs:     -1,
		topicID:      v.TopicID,
	}
	if v.Version >= 3 {
		c.leaderEpoch = v.LeaderEpoch
	}
	if v.Version == offsetCommitValueExpires {
		c.expireMs = v.ExpireTimestamp
	}
	return k.Group, p, c, false, nil
}

// decodeGroup reads a group; nil when it was deleted. Its members have no
// session yet: they begin when this node starts to coordinate.
func decodeGroup(r record.Record) (id string, g *group, err error) {
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return "", nil, fmt.Errorf("key of a group: %w", err)
	}
	if r.Value == nil {
		return k.Group, nil, nil
	}
	v := kmsg.NewGroupMetadataValue()
	v.CurrentStateTimestamp = -1
	err = checkValue(r.Value, groupMetadataValueVersion)
	if err == nil {
		err = v.ReadFrom(r.Value)
	}
	if err != nil {
		return "", nil, fmt.Errorf("metadata of group %q: %w", k.Group, err)
	}
	if len(v.Members) > 0 && v.Protocol == nil {
		return "", nil, fmt.Errorf("metadata of group %q: members without a protocol", k.Group)
	}
	g = newGroup(k.Group, v.CurrentStateTimestamp)
	g.generation, g.protocolType, g.protocol, g.stored = v.Generation, v.ProtocolType, v.Protocol, true
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	if len(v.Members) > 0 {
		g.state, g.previous = Stable, CompletingRebalance
	}
	for _, e := range v.Members {
		m := &member{
			id: e.MemberID, instanceID: e.InstanceID, clientID: e.ClientID, clientHost: e.ClientHost,
			rebalanceTimeout: millis(e.RebalanceTimeoutMillis), sessionTimeout: millis(e.SessionTimeoutMillis),
			assignment: append([]byte(nil), e.Assignment...),
		}
		if v.Version < 1 || e.RebalanceTimeoutMillis < 0 {
			m.rebalanceTimeout = m.sessionTimeout
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = *v.Protocol, append([]byte(nil), e.Subscription...)
		m.protocols = []kmsg.JoinGroupRequestProtocol{p}
		g.add(m, v.ProtocolType)
	}
	g.subscribed = g.subscriptions()
	return k.Group, g, nil
}
