package broker

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// topicCounters count the records of one topic.
type topicCounters struct{ messagesIn, bytesIn, bytesOut prometheus.Counter }

// metrics counts what the broker does, under the names that the usual exporters
// give to Kafka's own; what Kafka has not begins with oncelog_.
//
// Counting takes no lock. What can be read from the broker's state is read when
// somebody asks (Collect).
type metrics struct {
	b        *Broker
	registry *prometheus.Registry

	messagesIn, bytesIn, bytesOut *prometheus.CounterVec
	unclean                       prometheus.Counter
	times                         [maxKey]requestTimes
}

// maxKey is above every API key.
const maxKey = 128

func newMetrics(b *Broker) *metrics {
	perTopic := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_server_brokertopicmetrics_" + name + "_total", Help: help}, []string{"topic"})
	}
	m := &metrics{
		b: b, registry: prometheus.NewRegistry(),
		messagesIn: perTopic("messagesin", "Records appended by clients."),
		bytesIn:    perTopic("bytesin", "Bytes of record batches appended by clients."),
		bytesOut:   perTopic("bytesout", "Bytes of record batches answered to fetches."),
		unclean: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kafka_controller_controllerstats_uncleanleaderelections_total", Help: "Partitions whose majority this broker gave up.",
		}),
	}
	m.registry.MustRegister(m.messagesIn, m.bytesIn, m.bytesOut, m.unclean, m)
	return m
}

// topic are the counters of a topic; a topic made again under an old name goes
// on counting.
func (m *metrics) topic(name string) topicCounters {
	return topicCounters{m.messagesIn.WithLabelValues(name), m.bytesIn.WithLabelValues(name), m.bytesOut.WithLabelValues(name)}
}

// forget drops the counters of a deleted topic.
func (m *metrics) forget(name string) {
	for _, vec := range []*prometheus.CounterVec{m.messagesIn, m.bytesIn, m.bytesOut} {
		vec.DeleteLabelValues(name)
	}
}

// produced counts a batch that was appended.
func (c *topicCounters) produced(batch record.Batch) {
	c.messagesIn.Add(float64(batch.Count()))
	c.bytesIn.Add(float64(batch.Size()))
}

// request counts a request that was answered.
func (m *metrics) request(frame []byte, took time.Duration) {
	if key := binary.BigEndian.Uint16(frame); key < maxKey {
		m.times[key].observe(took)
	}
}

// requestTimes is a histogram of the times of one API: four buckets for each
// doubling, from a microsecond on.
type requestTimes struct {
	sum     atomic.Int64 // in nanoseconds
	buckets [timeBuckets]atomic.Uint64
}

// timeBuckets reaches 2^30 us, 18 minutes.
const timeBuckets = 4 * 31

func (t *requestTimes) observe(took time.Duration) {
	t.sum.Add(int64(took))
	t.buckets[timeBucket(took)].Add(1)
}

func timeBucket(took time.Duration) int {
	us := uint64(max(took.Microseconds(), 1))
	exponent := bits.Len64(us) - 1
	quarter := us << 2 >> exponent & 3
	return min(exponent<<2|int(quarter), timeBuckets-1)
}

// bucketTime is the upper end of a bucket, in milliseconds.
func bucketTime(bucket int) float64 {
	return math.Ldexp(1+float64(bucket&3+1)/4, bucket>>2) / 1000
}

// summary counts what was observed and finds quantiles of it, in milliseconds.
func (t *requestTimes) summary() (count uint64, sum float64, quantiles map[float64]float64) {
	var counts [timeBuckets]uint64
	for i := range counts {
		counts[i] = t.buckets[i].Load()
		count += counts[i]
	}
	quantiles = map[float64]float64{0.5: 0, 0.75: 0, 0.95: 0, 0.99: 0, 0.999: 0}
	for q := range quantiles {
		left := uint64(math.Ceil(q * float64(count)))
		for i, n := range counts {
			if n >= left {
				quantiles[q] = bucketTime(i)
				break
			}
			left -= n
		}
	}
	return count, float64(t.sum.Load()) / float64(time.Millisecond), quantiles
}

// A gauge is a value that is read from the broker's state when asked for.
type gauge struct {
	desc *prometheus.Desc
	read func(*Broker) float64
}

func newGauge(name, help string, read func(*Broker) float64) gauge {
	return gauge{prometheus.NewDesc(name, help, nil, nil), read}
}

var gauges = []gauge{
	newGauge("kafka_server_replicamanager_partitioncount", "Replicas on this broker.", func(b *Broker) float64 { return float64(b.replicas().all) }),
	newGauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", func(b *Broker) float64 { return float64(b.replicas().led) }),
	newGauge("kafka_server_replicamanager_offlinereplicacount", "Replicas that could not be opened.", func(b *Broker) float64 { return float64(b.replicas().offline) }),
	newGauge("kafka_server_replicamanager_underreplicatedpartitions", "Partitions led here with fewer replicas in sync than they have.", func(b *Broker) float64 { return float64(b.replicas().under) }),
	newGauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.", func(b *Broker) float64 { return float64(len(b.image().Topics())) }),
	newGauge("oncelog_connections", "Open client connections.", func(b *Broker) float64 { return float64(b.server.connections()) }),
	newGauge("oncelog_fetch_sessions", "Incremental fetch sessions held.", func(b *Broker) float64 { return float64(b.sessions.count()) }),
	newGauge("oncelog_forgetful_votes", "Replicas here that voted though a power cut or an emptied disk may have taken what they answered for: too few others were left.", func(b *Broker) float64 { return float64(b.node.Forgiven()) }),
	newGauge("oncelog_ready", "1 when a produce would succeed.", func(b *Broker) float64 {
		if b.Ready() {
			return 1
		}
		return 0
	}),
}

var (
	requestDesc       = prometheus.NewDesc("kafka_network_requestmetrics_totaltimems", "Time from a request's last byte to its reply's, in milliseconds.", []string{"request"}, nil)
	currentOffsetDesc = prometheus.NewDesc("kafka_topic_partition_current_offset", "High watermark of a partition led here.", []string{"topic", "partition"}, nil)
	oldestOffsetDesc  = prometheus.NewDesc("kafka_topic_partition_oldest_offset", "Log start offset of a partition led here.", []string{"topic", "partition"}, nil)
	stableOffsetDesc  = prometheus.NewDesc("oncelog_partition_last_stable_offset", "Last stable offset of a partition led here; open transactions hold it.", []string{"topic", "partition"}, nil)
	sizeDesc          = prometheus.NewDesc("kafka_log_log_size", "Bytes of a partition's log on this broker.", []string{"topic", "partition"}, nil)
)

// Describe says that the metrics are not known beforehand.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the broker's state.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	if m.b.server == nil {
		return // still starting
	}
	for _, g := range gauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.read(m.b))
	}
	for key := range m.times {
		if count, sum, quantiles := m.times[key].summary(); count > 0 {
			out <- prometheus.MustNewConstSummary(requestDesc, count, sum, quantiles, kmsg.NameForKey(int16(key)))
		}
	}
	m.collectPartitions(out)
}

func (m *metrics) collectPartitions(out chan<- prometheus.Metric) {
	for name, t := range m.b.topics.load().names {
		for i, p := range t.partitions {
			if p == nil || !p.Leadership().Ready {
				continue
			}
			send := func(desc *prometheus.Desc, value int64) {
				out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), name, nodeName(int32(i)))
			}
			send(currentOffsetDesc, p.HighWatermark())
			send(oldestOffsetDesc, p.StartOffset())
			send(stableOffsetDesc, p.LastStableOffset())
			send(sizeDesc, p.Log().Size())
		}
	}
}

// replicaCounts are the replicas of this broker by how they are.
type replicaCounts struct{ all, led, offline, under int }

func (b *Broker) replicas() replicaCounts {
	var c replicaCounts
	for _, t := range b.topics.load().names {
		for i, p := range t.partitions {
			c.all++
			switch {
			case p == nil:
				c.offline++
			case p.Leadership().Ready:
				c.led++
				if len(p.InSync()) < len(t.Partitions[i].Replicas) {
					c.under++
				}
			}
		}
	}
	return c
}
