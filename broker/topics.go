package broker

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"
)

// A topic is one topic as this node serves it. It never changes; a later state
// is another topic.
type topic struct {
	*cluster.Topic
	settings topicSettings
	// partitions has a place for each partition; nil where this node holds no
	// replica or could not open it.
	partitions []*replication.Partition
	counters   topicCounters
}

// minInSync is min.insync.replicas, at most what there is (D20).
func (t *topic) minInSync(partition int32) int16 {
	return min(t.settings.minInSyncReplicas, int16(len(t.Partitions[partition].Replicas)))
}

// A topicSet is all that requests are resolved against, at one offset of the
// metadata. It never changes.
type topicSet struct {
	image    *cluster.Image
	settings *settings
	names    map[string]*topic
	ids      map[cluster.UUID]*topic
}

func (s *topicSet) byName(name string) (*topic, bool) {
	t, ok := s.names[name]
	return t, ok
}

func (s *topicSet) byID(id cluster.UUID) (*topic, bool) {
	t, ok := s.ids[id]
	return t, ok
}

// topics opens and closes partitions as the metadata says.
//
// One goroutine (run) follows the metadata and is the only one to write set;
// requests load it. changed is closed and replaced with each new set.
type topics struct {
	b       *Broker
	set     atomic.Pointer[topicSet]
	changed atomic.Pointer[chan struct{}]
}

func newTopics(b *Broker, s *settings) *topics {
	t := &topics{b: b}
	t.set.Store(&topicSet{image: &cluster.Image{}, settings: s})
	next := make(chan struct{})
	t.changed.Store(&next)
	return t
}

func (t *topics) load() *topicSet { return t.set.Load() }

// reopenAfter is how long a partition that could not be opened rests before it
// is tried again.
const reopenAfter = time.Minute

// run follows the metadata until ctx ends.
func (t *topics) run(ctx context.Context) {
	for {
		changed := t.b.metadata.Changed()
		t.b.meetBrokers(t.b.metadata.Image())
		t.reconcile(ctx, t.b.metadata.Image())
		var again <-chan time.Time
		if !t.load().whole() {
			again = time.After(reopenAfter)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// reconcile publishes the set of an image. What was deleted disappears from
// the set before its partitions close; what is new is opened before it appears.
func (t *topics) reconcile(ctx context.Context, image *cluster.Image) {
	old := t.load()
	if old.image == image && old.whole() {
		return
	}
	next := &topicSet{image: image, settings: t.settingsOf(old, image), names: map[string]*topic{}, ids: map[cluster.UUID]*topic{}}
	var tasks errgroup.Group
	tasks.SetLimit(openAtOnce)
	for _, one := range image.Topics() {
		was, ok := old.byID(one.ID)
		if ok && was.Topic == one && old.settings == next.settings && was.whole(next.settings.nodeID) {
			next.add(was)
			continue
		}
		next.add(t.open(ctx, &tasks, was, one, next.settings))
	}
	_ = tasks.Wait() // its tasks log what fails
	t.set.Store(next)
	signal := make(chan struct{})
	close(*t.changed.Swap(&signal))
	t.deleteGone(ctx, old, next)
}

func (s *topicSet) add(t *topic) {
	s.names[t.Name] = t
	s.ids[t.ID] = t
}

// whole says that no topic has a partition that waits to be opened again.
func (s *topicSet) whole() bool {
	for _, t := range s.names {
		if !t.whole(s.settings.nodeID) {
			return false
		}
	}
	return true
}

// whole says that no partition waits to be opened again.
func (t *topic) whole(self int32) bool {
	for i, p := range t.partitions {
		if p == nil && t.isHere(i, self) {
			return false
		}
	}
	return true
}

// settingsOf parses the broker's settings again when the dynamic ones changed.
func (t *topics) settingsOf(old *topicSet, image *cluster.Image) *settings {
	all, _ := image.Configs(cluster.Resource{Type: cluster.BrokerResource})
	node, _ := image.Configs(cluster.Resource{Type: cluster.BrokerResource, Name: nodeName(old.settings.nodeID)})
	if maps.Equal(all, old.settings.dynamicDefault) && maps.Equal(node, old.settings.dynamicNode) {
		return old.settings
	}
	s, err := newSettings(old.settings.static, all, node)
	if err != nil { // judged when it was altered, so this program is an older one
		t.b.logger.Warn("dynamic broker settings are not understood; the ones before stay", "error", err)
		return old.settings
	}
	t.b.node.SetCleanerBackoff(s.cleanerRest())
	return s
}

// wait returns once ok holds for the set, or with the context's error.
func (t *topics) wait(ctx context.Context, ok func(*topicSet) bool) error {
	for {
		changed := *t.changed.Load()
		if ok(t.load()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits, bounded, until the set holds the newest metadata.
func (t *topics) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	offset := t.b.metadata.Image().Offset
	return t.wait(ctx, func(s *topicSet) bool { return s.image.Offset >= offset })
}

// settleTime bounds how long a request waits for what it needs and others make.
// One that asks for a topic itself says how long it waits.
const settleTime = 5 * time.Second

// waitReady waits, as long as ctx lasts, until the topic is served here and each
// of its partitions has a leader that serves.
func (t *topics) waitReady(ctx context.Context, id cluster.UUID, partitions int) error {
	var found *topic
	if err := t.wait(ctx, func(s *topicSet) bool {
		one, ok := s.byID(id)
		found = one
		return ok && len(one.partitions) >= partitions
	}); err != nil {
		return err
	}
	return found.waitLed(ctx)
}

// waitLed waits until each partition of the newest set has a leader.
func (t *topics) waitLed(ctx context.Context) error {
	for _, one := range t.load().names {
		if err := one.waitLed(ctx); err != nil && !errors.Is(err, replication.ErrClosed) { // it was deleted meanwhile
			return err
		}
	}
	return nil
}

func (t *topic) waitLed(ctx context.Context) error {
	for _, p := range t.partitions {
		if p == nil {
			continue // others hold it, or opening it failed, which is logged
		}
		if err := p.WaitLed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// logConfig is what of a topic's settings the log acts on.
func (s *topicSettings) logConfig(broker *settings) log.Config {
	c := log.Config{
		SegmentBytes: s.segmentBytes, SegmentAge: s.segmentAge, SegmentJitter: s.segmentJitter, IndexIntervalBytes: s.indexIntervalBytes, IndexMaxBytes: s.segmentIndexBytes,
		Preallocate: s.preallocate, Retention: unlimited(s.retention), RetentionBytes: s.retentionBytes,
		MinCompactionLag: s.minCompactionLag, MaxCompactionLag: s.maxCompactionLag, DeleteRetention: s.deleteRetention,
		MinCleanableRatio: s.minCleanableRatio, ProducerExpiration: broker.producerIDExpiration, MaxMessageBytes: s.maxMessageBytes,
		CompactionKeys: int(broker.cleanerBuffer / bytesPerKey), FlushMessages: s.flushMessages, FlushInterval: unlimited(s.flushInterval),
	}
	for _, policy := range s.cleanupPolicy {
		c.CleanupCompact = c.CleanupCompact || policy == "compact"
		c.CleanupDelete = c.CleanupDelete || policy == "delete"
	}
	if len(s.cleanupPolicy) == 0 { // keep everything
		c.CleanupDelete, c.Retention, c.RetentionBytes = true, log.Unlimited, log.Unlimited
	}
	switch {
	case c.RetentionBytes < 0:
		c.RetentionBytes = log.Unlimited
	case c.RetentionBytes == 0:
		c.RetentionBytes = log.Nothing
	}
	if c.Retention == 0 { // at once; zero would be the default
		c.Retention = time.Nanosecond
	}
	if c.MinCleanableRatio == 0 {
		c.MinCleanableRatio = -1
	}
	if c.DeleteRetention == 0 {
		c.DeleteRetention = time.Nanosecond
	}
	return c
}

// bytesPerKey is about what compaction spends on a key.
const bytesPerKey = 64

// unlimited turns what no clock will reach, and what is negative, into the
// log's word for it.
func unlimited(d time.Duration) time.Duration {
	if d < 0 || d >= 1<<62 {
		return log.Unlimited
	}
	return d
}

// compacted says that records need keys.
func (s *topicSettings) compacted() bool {
	for _, policy := range s.cleanupPolicy {
		if policy == "compact" {
			return true
		}
	}
	return false
}

// resolve finds the partition that a request names, by topic name or, when the
// version has them, by id.
//
// Errors: UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER when
// others hold it, KAFKA_STORAGE_ERROR.
func (s *topicSet) resolve(name string, id cluster.UUID, useID bool, partition int32) (*topic, *replication.Partition, error) {
	t, ok := s.byName(name)
	if useID {
		if t, ok = s.byID(id); !ok {
			return nil, nil, kerr.UnknownTopicID
		}
	}
	if !ok || partition < 0 || int(partition) >= len(t.partitions) {
		return nil, nil, kerr.UnknownTopicOrPartition
	}
	p := t.partitions[partition]
	if p == nil && !t.isHere(int(partition), s.settings.nodeID) {
		return t, nil, kerr.NotLeaderForPartition
	}
	if p == nil {
		return t, nil, errors.Join(errors.New("the partition could not be opened"), kerr.KafkaStorageError)
	}
	return t, p, nil
}

// checkEpoch compares the leader epoch that a client knows (-1: none) with the
// partition's (KIP-320). A leader that is not ready passes.
//
// Errors: NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH.
func checkEpoch(l replication.Leadership, self, epoch int32) error {
	switch {
	case epoch >= 0 && epoch < l.Epoch:
		return kerr.FencedLeaderEpoch
	case epoch > l.Epoch:
		return kerr.UnknownLeaderEpoch
	case l.Leader != self:
		return kerr.NotLeaderForPartition
	}
	return nil
}
