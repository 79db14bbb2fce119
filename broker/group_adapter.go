package broker

import (
	"time"

	"github.com/oncelog/oncelog/broker/group"
)

// newGroups makes the group coordinator over this broker's partitions.
func (b *Broker) newGroups(s *settings) (*group.Coordinator, error) {
	delay := s.groupInitialRebalanceDelay
	if delay == 0 {
		delay = -1 // none; zero would be the default
	}
	return group.New(group.Config{
		Partitions: b.partitionsOf(offsetsTopic, s.offsetsPartitions), Topics: groupTopics{b}, Verify: b.verifyOffsets,
		SessionTimeoutMin: s.groupMinSession, SessionTimeoutMax: s.groupMaxSession, InitialRebalanceDelay: delay, MaxSize: int(s.groupMaxSize),
		OffsetMetadataMaxSize: int(s.offsetMetadataMaxBytes), OffsetsRetention: time.Duration(s.offsetsRetentionMinutes) * time.Minute,
		OffsetsRetentionCheckInterval: s.offsetsRetentionCheck, OffsetCommitTimeout: s.offsetsTimeout, Logger: b.logger,
	})
}

// groupTopics is the metadata as the group coordinator asks it.
type groupTopics struct{ b *Broker }

func (t groupTopics) ByName(name string) (id [16]byte, partitions int32, ok bool) {
	one, ok := t.b.image().Topic(name)
	if !ok {
		return id, 0, false
	}
	return one.ID, int32(len(one.Partitions)), true
}

func (t groupTopics) ByID(id [16]byte) (name string, partitions int32, ok bool) {
	one, ok := t.b.image().TopicByID(id)
	if !ok {
		return "", 0, false
	}
	return one.Name, int32(len(one.Partitions)), true
}

func (t groupTopics) Deleted(id [16]byte) bool {
	_, dead := t.b.image().Dead(id)
	return dead
}
