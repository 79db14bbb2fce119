package log

import (
	"math"
	"time"
)

// A Config holds a topic's settings as this partition needs them. The zero
// value of each field means Kafka's default; Unlimited switches a limit off.
type Config struct {
	SegmentBytes       int32         // 0: 1 GiB (segment.bytes)
	SegmentAge         time.Duration // 0: 7 days (segment.ms)
	SegmentJitter      time.Duration // 0: none; the most that is taken at random from SegmentAge (segment.jitter.ms)
	IndexIntervalBytes int32         // 0: 4096 (index.interval.bytes)
	IndexMaxBytes      int32         // 0: 10 MiB (segment.index.bytes)
	Preallocate        bool          // false: reserve a part ahead; true: the whole segment (preallocate)

	CleanupCompact bool          // cleanup.policy holds compact
	CleanupDelete  bool          // cleanup.policy holds delete; both false means delete
	Retention      time.Duration // 0: 7 days, Unlimited: never (retention.ms)
	RetentionBytes int64         // 0 or Unlimited: no limit, Nothing: a size of 0 (retention.bytes)

	MinCompactionLag  time.Duration // 0: none (min.compaction.lag.ms)
	MaxCompactionLag  time.Duration // 0 or Unlimited: none (max.compaction.lag.ms)
	DeleteRetention   time.Duration // 0: 24 h (delete.retention.ms)
	MinCleanableRatio float64       // 0: 0.5; negative: 0, compact whatever is dirty (min.cleanable.dirty.ratio)
	CompactionKeys    int           // 0: 2 Mi; the most keys that a compaction holds at a time (log.cleaner.dedupe.buffer.size)

	ProducerExpiration time.Duration // 0: 24 h (producer.id.expiration.ms)
	MaxMessageBytes    int32         // 0: 1 MiB + 12 (max.message.bytes)
	FlushMessages      int64         // 0 or Unlimited: left to the system (flush.messages)
	FlushInterval      time.Duration // 0 or Unlimited: left to the system (flush.ms)
}

const (
	// Unlimited switches a limit off, as -1 does in Kafka's settings.
	Unlimited = -1
	// Nothing is a size of 0 where 0 would be the default.
	Nothing = -2
)

// withDefaults fills every zero field with Kafka's default.
func (c Config) withDefaults() Config {
	def(&c.SegmentBytes, 1<<30)
	def(&c.SegmentAge, 7*24*time.Hour)
	def(&c.IndexIntervalBytes, 4096)
	def(&c.IndexMaxBytes, 10<<20)
	def(&c.Retention, 7*24*time.Hour)
	def(&c.RetentionBytes, Unlimited)
	def(&c.DeleteRetention, 24*time.Hour)
	def(&c.MinCleanableRatio, 0.5)
	def(&c.ProducerExpiration, 24*time.Hour)
	def(&c.MaxMessageBytes, 1<<20+12)
	def(&c.CompactionKeys, 2<<20)
	if c.RetentionBytes == Nothing {
		c.RetentionBytes = 0
	}
	if !c.CleanupCompact {
		c.CleanupDelete = true
	}
	c.MinCleanableRatio = math.Max(c.MinCleanableRatio, 0)
	return c
}

func def[T int | int32 | int64 | time.Duration | float64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
