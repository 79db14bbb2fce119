package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/protocol/record"
)

// An effect is what a topic config changes. topic is how it is set for a topic
// and broker how for all topics; base is what the topic has besides.
type effect struct {
	name          string
	base          string
	topic, broker string
	// seen says whether the effect is there; without the config it must not be.
	seen func(*configured) bool
}

const minuteSegments = "segment.ms=60000 "

var effects = []effect{
	{"message.timestamp.type", "", "message.timestamp.type=LogAppendTime", "log.message.timestamp.type=LogAppendTime", func(w *configured) bool {
		w.must(kgo.Record{Timestamp: time.Now().Add(-time.Hour)})
		b := w.stored()
		if now := time.Now().UnixMilli(); b.LogAppendTime() != (b.MaxTimestamp() == now) {
			w.Errorf("timestamp %d at %d", b.MaxTimestamp(), now)
		}
		return b.LogAppendTime()
	}},
	{"message.timestamp.before.max.ms", "", "message.timestamp.before.max.ms=1000", "log.message.timestamp.before.max.ms=1000", func(w *configured) bool {
		return w.refused(kgo.Record{Timestamp: time.Now().Add(-1100 * time.Millisecond)}, kerr.InvalidTimestamp)
	}},
	{"message.timestamp.after.max.ms", "", "message.timestamp.after.max.ms=1000", "log.message.timestamp.after.max.ms=1000", func(w *configured) bool {
		return w.refused(kgo.Record{Timestamp: time.Now().Add(30 * time.Minute)}, kerr.InvalidTimestamp)
	}},
	{"compression.type gzip", "", "compression.type=gzip", "compression.type=gzip", storedAs(record.CodecGzip)},
	{"compression.type snappy", "", "compression.type=snappy", "compression.type=snappy", storedAs(record.CodecSnappy)},
	{"compression.type lz4", "", "compression.type=lz4", "compression.type=lz4", storedAs(record.CodecLZ4)},
	{"compression.type zstd", "", "compression.type=zstd", "compression.type=zstd", storedAs(record.CodecZstd)},
	{"compression.type uncompressed", "compression.type=gzip", "compression.type=uncompressed", "", storedAs(record.CodecNone)},
	{"compression.gzip.level", "compression.type=gzip", "compression.gzip.level=1", "compression.gzip.level=1", storedLarger(record.CodecGzip)},
	{"compression.lz4.level", "compression.type=lz4", "compression.lz4.level=1", "compression.lz4.level=1", storedLarger(record.CodecLZ4)},
	{"compression.zstd.level", "compression.type=zstd", "compression.zstd.level=-5", "compression.zstd.level=-5", storedLarger(record.CodecZstd)},
	{"max.message.bytes", "", "max.message.bytes=200", "message.max.bytes=200", func(w *configured) bool {
		return w.refused(kgo.Record{Value: make([]byte, 300)}, kerr.MessageTooLarge)
	}},
	{"retention.ms", "", "retention.ms=60000", "log.retention.ms=60000", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(10 * time.Minute)
		return w.logStart() == 1 // the active segment too
	}},
	{"retention.ms for ever", "retention.ms=60000", "retention.ms=-1", "", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(10 * time.Minute)
		return w.logStart() == 0
	}},
	{"retention.bytes", minuteSegments, "retention.bytes=300", "log.retention.bytes=300", func(w *configured) bool {
		for range 3 {
			w.must(kgo.Record{Value: make([]byte, 200)})
			time.Sleep(2 * time.Minute)
		}
		time.Sleep(10 * time.Minute)
		return w.logStart() == 1 // the rest is no whole segment too much
	}},
	{"retention.bytes of nothing", minuteSegments, "retention.bytes=0", "log.retention.bytes=0", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(10 * time.Minute)
		return w.logStart() == 1
	}},
	{"segment.bytes", "", "segment.bytes=1048576", "log.segment.bytes=1048576", func(w *configured) bool {
		for range 3 {
			w.must(kgo.Record{Value: make([]byte, 500_000)})
		}
		return len(w.segments(".log")) == 2
	}},
	{"segment.ms", "", "segment.ms=60000", "log.roll.ms=60000", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(2 * time.Minute)
		w.must(kgo.Record{})
		return len(w.segments(".log")) == 2
	}},
	{"segment.jitter.ms", "segment.ms=3600000", "segment.jitter.ms=3600000", "log.roll.jitter.ms=3600000", func(w *configured) bool {
		for range 10 * 60 {
			w.must(kgo.Record{})
			time.Sleep(time.Minute)
		}
		return len(w.segments(".log")) > 12 // 10 without
	}},
	{"index.interval.bytes", minuteSegments, "index.interval.bytes=1", "log.index.interval.bytes=1", func(w *configured) bool {
		for range 5 {
			w.must(kgo.Record{})
		}
		w.roll()
		return w.size(w.segments(".index")[0]) == 4*8 // of each batch but the first
	}},
	{"segment.index.bytes", "index.interval.bytes=1", "segment.index.bytes=48", "log.index.size.max.bytes=48", func(w *configured) bool {
		for range 10 {
			w.must(kgo.Record{})
		}
		return len(w.segments(".log")) == 2
	}},
	{"cleanup.policy compact", minuteSegments, "cleanup.policy=compact", "log.cleanup.policy=compact", func(w *configured) bool { return w.superseded() && w.logStart() == 0 }},
	{"cleanup.policy compact keeps what is old", minuteSegments + "retention.ms=60000", "cleanup.policy=compact", "log.cleanup.policy=compact", func(w *configured) bool {
		w.must(kgo.Record{Key: []byte("k"), Value: []byte("v")})
		w.roll()
		time.Sleep(10 * time.Minute)
		return w.logStart() == 0
	}},
	{"cleanup.policy both", minuteSegments + "cleanup.policy=compact retention.ms=3600000", "cleanup.policy=compact,delete", "", func(w *configured) bool {
		if !w.superseded() {
			w.Error("nothing was compacted")
		}
		time.Sleep(2 * time.Hour)
		return w.logStart() == 3
	}},
	{"cleanup.policy none", minuteSegments + "retention.ms=60000", "cleanup.policy=", "log.cleanup.policy=", func(w *configured) bool {
		return !w.superseded() && w.logStart() == 0
	}},
	{"min.cleanable.dirty.ratio", minuteSegments + "cleanup.policy=compact", "min.cleanable.dirty.ratio=1", "log.cleaner.min.cleanable.ratio=1", func(w *configured) bool { return !w.superseded() }},
	{"min.compaction.lag.ms", minuteSegments + "cleanup.policy=compact", "min.compaction.lag.ms=3600000", "log.cleaner.min.compaction.lag.ms=3600000", func(w *configured) bool {
		early := w.superseded()
		time.Sleep(time.Hour)
		if slices.Contains(w.offsets(), 0) {
			w.Error("nothing was compacted in the end")
		}
		return !early
	}},
	{"max.compaction.lag.ms", minuteSegments + "cleanup.policy=compact min.cleanable.dirty.ratio=1", "max.compaction.lag.ms=60000", "log.cleaner.max.compaction.lag.ms=60000", (*configured).superseded},
	{"delete.retention.ms", minuteSegments + "cleanup.policy=compact min.cleanable.dirty.ratio=0", "delete.retention.ms=1000", "log.cleaner.delete.retention.ms=1000", func(w *configured) bool {
		w.must(kgo.Record{Key: []byte("k")})
		for range 3 { // the first round gives the tombstone its time, the next takes it away
			w.roll()
			time.Sleep(2 * time.Minute)
		}
		return !slices.Contains(w.offsets(), 0)
	}},
	{"log.cleaner.backoff.ms", minuteSegments + "cleanup.policy=compact", "", "log.cleaner.backoff.ms=3600000", func(w *configured) bool { return !w.superseded() }},
	{"producer.id.expiration.ms", "", "", "producer.id.expiration.ms=60000", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(15 * time.Minute)
		producers, err := w.admin.DescribeProducers(w.Context(), kadm.TopicsSet{"t": {0: {}}})
		if err != nil {
			w.Fatal(err)
		}
		return len(producers["t"].Partitions[0].ActiveProducers) == 0
	}},
	{"transaction.partition.verification.enable", "", "", "transaction.partition.verification.enable=false", (*configured).unverified},
	{"max.connections.per.ip", "", "", "max.connections.per.ip=8", func(w *configured) bool {
		for range 9 { // one at least for each client
			ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
			err := client(w.T, w.s).Ping(ctx)
			cancel()
			if err != nil {
				return true
			}
		}
		return false
	}},
	{"log.retention.hours", "", "", "log.retention.hours=1", olderThan(time.Hour)},
	{"log.retention.minutes", "", "", "log.retention.minutes=30 log.retention.hours=5", olderThan(30 * time.Minute)},
	{"log.roll.hours", "", "", "log.roll.hours=1", func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(61 * time.Minute)
		w.must(kgo.Record{})
		return len(w.segments(".log")) == 2
	}},
}

// onlyStatic are the settings above that Kafka reads at its start only.
var onlyStatic = []string{"log.retention.hours", "log.retention.minutes", "log.roll.hours"}

// storedAs says that a batch is stored in a codec.
func storedAs(codec int8) func(*configured) bool {
	return func(w *configured) bool {
		w.must(kgo.Record{Value: []byte(strings.Repeat("some text ", 50))})
		return w.stored().Codec() == codec
	}
}

// storedLarger says that a batch is stored in more bytes than at the codec's own level.
func storedLarger(codec int8) func(*configured) bool {
	return func(w *configured) bool {
		var text strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&text, "%d and %d ", i%70, i*i%900)
		}
		w.must(kgo.Record{Value: []byte(text.String())})
		b := w.stored()
		if b.Codec() != codec {
			w.Fatalf("codec %d, want %d", b.Codec(), codec)
		}
		o := record.NoProducer()
		o.Codec = codec
		usual := record.NewBuilder(o)
		for r, err := range b.Records(nil) {
			if err != nil {
				w.Fatal(err)
			}
			usual.Append(r)
		}
		size := len(usual.Build())
		return len(b) > size || codec == record.CodecLZ4 && len(b) < size // lz4's own level is its fast one
	}
}

// olderThan says that a record is kept for as long and no longer.
func olderThan(age time.Duration) func(*configured) bool {
	return func(w *configured) bool {
		w.must(kgo.Record{})
		time.Sleep(age - 10*time.Minute)
		early := w.logStart()
		time.Sleep(20 * time.Minute)
		return early == 0 && w.logStart() == 1
	}
}

// Each config acts however it is set: with the topic, later, for all brokers or
// for this one while it runs, or in server.properties.
func TestConfigsAct(t *testing.T) {
	for _, e := range effects {
		t.Run(e.name, func(t *testing.T) {
			e.try(t, "unset", false, nil, nil)
			if e.topic != "" {
				e.try(t, "with the topic", true, pairs(e.topic), nil)
				e.try(t, "altered", true, nil, func(w *configured) (kadm.AlterConfigsResponses, error) {
					return w.admin.AlterTopicConfigs(w.Context(), alterations(e.topic), "t")
				})
			}
			if e.broker == "" {
				return
			}
			e.try(t, "static", true, nil, nil)
			if slices.Contains(onlyStatic, e.name) {
				return
			}
			for way, brokers := range map[string][]int32{"for all brokers": nil, "for this broker": {1}} {
				e.try(t, way, true, nil, func(w *configured) (kadm.AlterConfigsResponses, error) {
					return w.admin.AlterBrokerConfigs(w.Context(), alterations(e.broker), brokers...)
				})
			}
		})
	}
}

// try runs one effect, its config set in one way.
func (e effect) try(t *testing.T, way string, want bool, own map[string]string, alter func(*configured) (kadm.AlterConfigsResponses, error)) {
	t.Run(way, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			properties := map[string]string{}
			if way == "static" {
				properties = pairs(e.broker)
			}
			s := brokertest.Start(t, brokertest.Options{Properties: properties})
			w := &configured{T: t, s: s, c: client(t, s, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(1_000_000))}
			w.admin = kadm.NewClient(w.c)
			configs := map[string]*string{}
			all := pairs(e.base)
			maps.Copy(all, own)
			for name, value := range all {
				configs[name] = &value
			}
			if _, err := w.admin.CreateTopic(t.Context(), 1, 1, configs, "t"); err != nil {
				t.Fatal(err)
			}
			if alter != nil {
				answers, err := alter(w)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range answers {
					if a.Err != nil {
						t.Fatalf("%v: %s", a.Err, a.ErrMessage)
					}
				}
			}
			if got := e.seen(w); got != want {
				t.Errorf("seen %v, want %v", got, want)
			}
		})
	})
}

// pairs reads a=1 b=2.
func pairs(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return all
}

func alterations(text string) (list []kadm.AlterConfig) {
	for name, value := range pairs(text) {
		list = append(list, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	return list
}
