package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicSettings are the settings of one topic, every fallback resolved.
// A negative duration or size means "no limit".
type topicSettings struct {
	cleanupPolicy      []string
	compressionType    string
	deleteRetention    time.Duration
	fileDeleteDelay    time.Duration
	flushMessages      int64
	flushInterval      time.Duration
	indexIntervalBytes int32
	maxCompactionLag   time.Duration
	maxMessageBytes    int32
	timestampAfterMax  time.Duration
	timestampBeforeMax time.Duration
	timestampType      string
	minCleanableRatio  float64
	minCompactionLag   time.Duration
	minInSyncReplicas  int16
	preallocate        bool
	retentionBytes     int64
	retention          time.Duration
	segmentBytes       int32
	segmentIndexBytes  int32
	segmentAge         time.Duration
	segmentJitter      time.Duration
	internalSegment    int32
	gzipLevel          int32
	lz4Level           int32
	zstdLevel          int32
	uncleanElection    bool
}

const (
	typeBoolean = kmsg.ConfigTypeBoolean
	typeString  = kmsg.ConfigTypeString
	typeInt     = kmsg.ConfigTypeInt
	typeShort   = kmsg.ConfigTypeShort
	typeLong    = kmsg.ConfigTypeLong
	typeDouble  = kmsg.ConfigTypeDouble
	typeList    = kmsg.ConfigTypeList
	typeSecret  = kmsg.ConfigTypePassword

	maxLong = "9223372036854775807"
)

func same(names ...string) []synonym {
	list := make([]synonym, len(names))
	for i, name := range names {
		list[i].name = name
	}
	return list
}

// topicKeys are the topic settings of Kafka 4.3 with its defaults
// (org.apache.kafka.storage.internals.log.LogConfig). In the order of names.
var topicKeys = newKeyTable([]key[topicSettings]{
	{name: "cleanup.policy", typ: typeList, def: "delete", synonyms: same("log.cleanup.policy"), check: listOf("compact", "delete"),
		bind: func(s *topicSettings) any { return &s.cleanupPolicy },
		doc:  "What makes room in a partition: delete drops old segments by age and size, compact keeps the newest record of each key. Both may be named; the empty list keeps everything."},
	{name: "compression.gzip.level", typ: typeInt, def: "-1", synonyms: same("compression.gzip.level"), check: gzipLevel,
		bind: func(s *topicSettings) any { return &s.gzipLevel },
		doc:  "Level used when the broker itself compresses with gzip: 1 to 9, or -1 for the library's choice."},
	{name: "compression.lz4.level", typ: typeInt, def: "9", synonyms: same("compression.lz4.level"), check: between(1, 17),
		bind: func(s *topicSettings) any { return &s.lz4Level },
		doc:  "Level used when the broker itself compresses with lz4: 1 to 17."},
	{name: "compression.type", typ: typeString, def: "producer", synonyms: same("compression.type"), check: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
		bind: func(s *topicSettings) any { return &s.compressionType },
		doc:  "The codec records are stored in. With producer a batch is stored as it was sent."},
	{name: "compression.zstd.level", typ: typeInt, def: "3", synonyms: same("compression.zstd.level"), check: between(-131072, 22),
		bind: func(s *topicSettings) any { return &s.zstdLevel },
		doc:  "Level used when the broker itself compresses with zstd: -131072 to 22."},
	{name: "delete.retention.ms", typ: typeLong, def: "86400000", synonyms: same("log.cleaner.delete.retention.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.deleteRetention },
		doc:  "How long compaction keeps a delete marker, so that a reader that began at offset 0 sees it."},
	{name: "file.delete.delay.ms", typ: typeLong, def: "60000", synonyms: same("log.segment.delete.delay.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.fileDeleteDelay },
		doc:  "Accepted. A file that is no longer part of the log is deleted at once; whoever reads it keeps it open until done."},
	{name: "flush.messages", typ: typeLong, def: maxLong, synonyms: same("log.flush.interval.messages"), check: atLeast(1),
		bind: func(s *topicSettings) any { return &s.flushMessages },
		doc:  "Force the log to disk after this many records."},
	{name: "flush.ms", typ: typeLong, def: maxLong, synonyms: same("log.flush.interval.ms", "log.flush.scheduler.interval.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.flushInterval },
		doc:  "Force the log to disk after this time."},
	{name: "follower.replication.throttled.replicas", typ: typeList, def: "", wholeList: true, check: throttled("follower.replication.throttled.replicas"), doc: "Accepted for tools; replication is not throttled."},
	{name: "index.interval.bytes", typ: typeInt, def: "4096", synonyms: same("log.index.interval.bytes"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.indexIntervalBytes },
		doc:  "How many bytes of records lie between two entries of the offset index."},
	{name: "internal.segment.bytes", typ: typeInt, null: true, internal: true,
		bind: func(s *topicSettings) any { return &s.internalSegment },
		doc:  "segment.bytes without its lower limit, for tests."},
	{name: "leader.replication.throttled.replicas", typ: typeList, def: "", wholeList: true, check: throttled("leader.replication.throttled.replicas"), doc: "Accepted for tools; replication is not throttled."},
	{name: "local.retention.bytes", typ: typeLong, def: "-2", synonyms: same("log.local.retention.bytes"), check: atLeast(-2), doc: "Accepted; there is no remote storage."},
	{name: "local.retention.ms", typ: typeLong, def: "-2", synonyms: same("log.local.retention.ms"), check: atLeast(-2), doc: "Accepted; there is no remote storage."},
	{name: "max.compaction.lag.ms", typ: typeLong, def: maxLong, synonyms: same("log.cleaner.max.compaction.lag.ms"), check: atLeast(1),
		bind: func(s *topicSettings) any { return &s.maxCompactionLag },
		doc:  "The longest time a record may wait for compaction."},
	{name: "max.message.bytes", typ: typeInt, def: "1048588", synonyms: same("message.max.bytes"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.maxMessageBytes },
		doc:  "The largest record batch, after compression, that is accepted."},
	{name: "message.timestamp.after.max.ms", typ: typeLong, def: "3600000", synonyms: same("log.message.timestamp.after.max.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.timestampAfterMax },
		doc:  "How far in the future of the broker's clock a CreateTime may lie."},
	{name: "message.timestamp.before.max.ms", typ: typeLong, def: maxLong, synonyms: same("log.message.timestamp.before.max.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.timestampBeforeMax },
		doc:  "How far in the past of the broker's clock a CreateTime may lie."},
	{name: "message.timestamp.type", typ: typeString, def: "CreateTime", synonyms: same("log.message.timestamp.type"), check: oneOf("CreateTime", "LogAppendTime"),
		bind: func(s *topicSettings) any { return &s.timestampType },
		doc:  "Whether a record carries the time the producer gave it or the time of its append."},
	{name: "min.cleanable.dirty.ratio", typ: typeDouble, def: "0.5", synonyms: same("log.cleaner.min.cleanable.ratio"), check: fraction,
		bind: func(s *topicSettings) any { return &s.minCleanableRatio },
		doc:  "The part of a log that must be uncompacted before it is compacted again."},
	{name: "min.compaction.lag.ms", typ: typeLong, def: "0", synonyms: same("log.cleaner.min.compaction.lag.ms"), check: atLeast(0),
		bind: func(s *topicSettings) any { return &s.minCompactionLag },
		doc:  "The shortest time a record stays uncompacted."},
	{name: "min.insync.replicas", typ: typeInt, def: "1", synonyms: same("min.insync.replicas"), check: atLeast(1),
		bind: func(s *topicSettings) any { return &s.minInSyncReplicas },
		doc:  "How many replicas must hold a batch before acks=all is answered. Never more than there are replicas."},
	{name: "preallocate", typ: typeBoolean, def: "false", synonyms: same("log.preallocate"),
		bind: func(s *topicSettings) any { return &s.preallocate },
		doc:  "Whether the file of a new segment is given its full length at once."},
	{name: "remote.log.copy.disable", typ: typeBoolean, def: "false", doc: "Accepted; there is no remote storage."},
	{name: "remote.log.delete.on.disable", typ: typeBoolean, def: "false", doc: "Accepted; there is no remote storage."},
	{name: "remote.storage.enable", typ: typeBoolean, def: "false", doc: "Only false is possible: there is no remote storage."},
	{name: "retention.bytes", typ: typeLong, def: "-1", synonyms: same("log.retention.bytes"),
		bind: func(s *topicSettings) any { return &s.retentionBytes },
		doc:  "The size a partition may have before its oldest segments are deleted; -1 is no limit."},
	{name: "retention.ms", typ: typeLong, def: "604800000", check: atLeast(-1),
		synonyms: []synonym{{name: "log.retention.ms", scale: 1}, {name: "log.retention.minutes", scale: 60_000}, {name: "log.retention.hours", scale: 3_600_000}},
		bind:     func(s *topicSettings) any { return &s.retention },
		doc:      "The age at which a segment is deleted; -1 is no limit."},
	{name: "segment.bytes", typ: typeInt, def: "1073741824", synonyms: same("log.segment.bytes"), check: atLeast(1 << 20),
		bind: func(s *topicSettings) any { return &s.segmentBytes },
		doc:  "The size at which a new segment is begun."},
	{name: "segment.index.bytes", typ: typeInt, def: "10485760", synonyms: same("log.index.size.max.bytes"), check: atLeast(4),
		bind: func(s *topicSettings) any { return &s.segmentIndexBytes },
		doc:  "The size an index may have before a new segment is begun."},
	{name: "segment.jitter.ms", typ: typeLong, def: "0", check: atLeast(0),
		synonyms: []synonym{{name: "log.roll.jitter.ms"}, {name: "log.roll.jitter.hours", scale: 3_600_000}},
		bind:     func(s *topicSettings) any { return &s.segmentJitter },
		doc:      "The most that is taken at random from segment.ms."},
	{name: "segment.ms", typ: typeLong, def: "604800000", check: atLeast(1),
		synonyms: []synonym{{name: "log.roll.ms"}, {name: "log.roll.hours", scale: 3_600_000}},
		bind:     func(s *topicSettings) any { return &s.segmentAge },
		doc:      "The age at which a new segment is begun."},
	{name: "unclean.leader.election.enable", typ: typeBoolean, def: "false", synonyms: same("unclean.leader.election.enable"),
		bind: func(s *topicSettings) any { return &s.uncleanElection },
		doc:  "Whether a partition that lost the majority of its voters for nine seconds goes on from one survivor's log, and loses what that lacks."},
})

// throttled checks a list of partition:replica pairs, or '*'.
func throttled(name string) func(any) error {
	return func(v any) error {
		list := v.([]string)
		if len(list) == 1 && list[0] == "*" {
			return nil
		}
		for _, pair := range list {
			partition, replica, ok := strings.Cut(pair, ":")
			if !ok || strings.Trim(partition, "0123456789") != "" || strings.Trim(replica, "0123456789") != "" {
				return refuse(kerr.InvalidConfig, "%s must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...", name)
			}
		}
		return nil
	}
}

// checkTopicConfigs judges the settings given for a topic, before anything is
// made of them. Null values are the caller's to refuse.
//
// Errors: INVALID_CONFIG with the message of Kafka's ConfigDef and LogConfig.
func checkTopicConfigs(configs map[string]string, broker *settings) error {
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		k := topicKeys.byName[name]
		if k == nil {
			return invalidConfig(fmt.Sprintf("Unknown topic config name: %s", name))
		}
		v, err := k.parse(configs[name])
		if err != nil {
			return invalidConfig(err.Error())
		}
		if name == "remote.storage.enable" && v == true {
			return invalidConfig("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
		}
	}
	s, err := resolveTopic(configs, broker)
	if err != nil {
		return invalidConfig(err.Error())
	}
	if s.minCompactionLag > s.maxCompactionLag {
		return invalidConfig(fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
			s.minCompactionLag.Milliseconds(), s.maxCompactionLag.Milliseconds()))
	}
	return nil
}

func invalidConfig(message string) error {
	return refuse(kerr.InvalidConfig, "%s", message)
}

// resolveTopic gives the settings in force for a topic with these configs.
func resolveTopic(configs map[string]string, broker *settings) (topicSettings, error) {
	values := make(map[string]string, len(topicKeys.keys))
	for i := range topicKeys.keys {
		k := &topicKeys.keys[i]
		if value, ok := configs[k.name]; ok {
			values[k.name] = value
		} else if value, _, ok := broker.topicDefault(k); ok {
			values[k.name] = value
		}
	}
	var s topicSettings
	if err := topicKeys.fill(&s, values); err != nil {
		return topicSettings{}, err
	}
	if s.internalSegment > 0 {
		s.segmentBytes = s.internalSegment
	}
	return s, nil
}
