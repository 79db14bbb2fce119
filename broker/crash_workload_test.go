package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/log/vfs"
)

// crashProperties make everything that a broker does by the clock come soon.
var crashProperties = map[string]string{
	"log.retention.check.interval.ms": "1000", "log.cleaner.backoff.ms": "500",
	"producer.id.expiration.ms": "20000", "producer.id.expiration.check.interval.ms": "5000",
	"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "10000",
	"transactional.id.expiration.ms": "40000", "transaction.remove.expired.transaction.cleanup.interval.ms": "10000",
}

// crashTopics are the topics of the workload and their settings.
var crashTopics = map[string]map[string]string{
	"plain":     {},
	"compacted": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "3000"},
	"both":      {"cleanup.policy": "compact,delete", "min.cleanable.dirty.ratio": "0.01", "retention.ms": "8000"},
	"brief":     {"retention.bytes": "1500"},
	"gone":      {},
}

// A span is what a client asked for and was told: between the two, counted in
// changes of the disk, it may have happened, and after the second it has.
type span struct {
	asked int
	told  int // forever: the client was not told
}

const forever = 1 << 40

func (s span) mayBe(at int) bool { return s.asked <= at }
func (s span) mustBe(at int) bool {
	return s.told <= at
}

// A acked record is one that a client produced.
type ackedRecord struct {
	span
	topic, key, value string // value "": a tombstone
	offset            int64
	txn               *ended // nil: none
}

// An ended transaction wrote records, and an offset of the group "txn".
type ended struct {
	end    span
	commit bool
	offset int64
}

type numbered struct {
	span
	value int64
}

type topicSpan struct {
	span
	name string
	id   kadm.TopicID
	gone bool
}

// A history is what the clients of one run of the workload asked and were told.
type history struct {
	t      *testing.T
	disk   *vfs.Mem
	server *brokertest.Server

	cluster  string
	records  []*ackedRecord
	txns     []*ended
	offsets  []numbered // that the group "plain" committed
	deleted  []numbered // log starts of "plain" that were asked for
	topics   []topicSpan
	retained []numbered // of the topic "both": its setting
	given    []given
	starts   map[string]int64 // log starts in the end
	producer *kgo.Client
	admin    *kadm.Client
	took     time.Duration // virtual
	idle     int           // from this change on, offsets of groups may expire
}

// did runs a request and notes when it was asked and told.
func (h *history) did(what string, do func() error) span {
	h.t.Helper()
	s := span{asked: h.disk.Mutations()}
	if err := do(); err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	s.told = h.disk.Mutations()
	return s
}

// run is the workload.
func (h *history) run() {
	began := time.Now()
	h.producer = client(h.t, h.server)
	h.admin = kadm.NewClient(h.producer)
	for _, topic := range []string{"plain", "compacted", "both", "brief", "gone"} {
		h.createTopic(topic)
	}
	one := client(h.t, h.server, kgo.TransactionalID("one"), kgo.TransactionTimeout(5*time.Second))
	two := client(h.t, h.server, kgo.TransactionalID("two"), kgo.TransactionTimeout(5*time.Second))
	for round := range 4 {
		for i := range 3 {
			n := 3*round + i
			h.write(h.producer, nil, "plain", "k", fmt.Sprint("plain ", n))
			h.write(h.producer, nil, "compacted", fmt.Sprint("key ", n%4), fmt.Sprint("compacted ", n))
			h.write(h.producer, nil, "both", fmt.Sprint("key ", n%3), fmt.Sprint("both ", n))
			h.write(h.producer, nil, "brief", "k", fmt.Sprintf("brief %0200d", n))
		}
		h.write(h.producer, nil, "compacted", fmt.Sprint("key ", round), "")
		h.write(h.producer, nil, "gone", "k", fmt.Sprint("gone ", round))
		h.transaction(one, true, fmt.Sprint(round, " one"))
		h.transaction(two, false, fmt.Sprint(round, " lost"))
		h.commitOffset(int64(round + 1))
		h.newProducerID()
		switch round {
		case 0:
			h.alter("__consumer_offsets", "internal.segment.bytes", "900")
			h.alter("__transaction_state", "internal.segment.bytes", "900")
		case 1:
			h.deleteRecords(4)
			h.retain(9000)
		case 2:
			h.deleteTopic("gone")
			h.createTopic("gone")
		}
		time.Sleep(2 * time.Second)
	}
	h.leaveOpen(two, "left open")
	h.idle = h.disk.Mutations()
	time.Sleep(30 * time.Second) // what is idle is forgotten, what is old deleted
	h.write(h.producer, nil, "plain", "k", "afterwards")
	h.transaction(client(h.t, h.server, kgo.TransactionalID("three"), kgo.TransactionTimeout(5*time.Second)), true, "last")
	time.Sleep(70 * time.Second)
	h.newProducerID()
	for topic := range crashTopics {
		h.starts[topic] = h.logStart(topic)
	}
	h.took = time.Since(began)
}

func (h *history) createTopic(name string) {
	configs := map[string]*string{"internal.segment.bytes": kadm.StringPtr("600")}
	for key, value := range crashTopics[name] {
		configs[key] = &value
	}
	var id kadm.TopicID
	s := h.did("create "+name, func() error {
		resp, err := h.admin.CreateTopic(h.t.Context(), 1, 1, configs, name)
		id = resp.ID
		return err
	})
	h.topics = append(h.topics, topicSpan{span: s, name: name, id: id})
}

func (h *history) deleteTopic(name string) {
	s := h.did("delete "+name, func() error {
		_, err := h.admin.DeleteTopic(h.t.Context(), name)
		return err
	})
	h.topics = append(h.topics, topicSpan{span: s, name: name, gone: true})
	h.producer.PurgeTopicsFromClient(name) // it knows the topic by id
}

func (h *history) write(c *kgo.Client, txn *ended, topic, key, value string) {
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	if value == "" {
		r.Value = nil
	}
	w := &ackedRecord{topic: topic, key: key, value: value, txn: txn}
	w.span = h.did("produce to "+topic, func() error { return c.ProduceSync(h.t.Context(), r).FirstErr() })
	w.offset = r.Offset
	h.records = append(h.records, w)
}

// transaction writes to two topics and commits an offset of the group "txn".
func (h *history) transaction(c *kgo.Client, commit bool, value string) {
	x := h.leaveOpen(c, value)
	x.commit = commit
	x.end = h.did("end", func() error { return c.EndTransaction(h.t.Context(), kgo.TransactionEndTry(commit)) })
}

func (h *history) leaveOpen(c *kgo.Client, value string) *ended {
	x := &ended{end: span{forever, forever}, offset: int64(len(h.txns) + 1)}
	h.txns = append(h.txns, x)
	if err := c.BeginTransaction(); err != nil {
		h.t.Fatal(err)
	}
	h.write(c, x, "plain", "k", value)
	h.write(c, x, "compacted", "in transactions", value)
	h.write(c, x, "plain", "k", value+" too")
	h.did("offset in transaction", func() error { return txnOffset(h.t, c, x.offset) })
	return x
}

// txnOffset commits an offset of the group "txn" in the client's transaction.
func txnOffset(t *testing.T, c *kgo.Client, offset int64) error {
	id, epoch, err := c.ProducerID(t.Context())
	if err != nil {
		return err
	}
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.Group, r.ProducerID, r.ProducerEpoch = "txn", id, epoch
	r.TransactionalID = c.OptValue(kgo.TransactionalID).(string)
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "plain", []kmsg.TxnOffsetCommitRequestTopicPartition{p}
	r.Topics = append(r.Topics, topic)
	resp, err := r.RequestWith(t.Context(), c)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func (h *history) commitOffset(offset int64) {
	var offsets kadm.Offsets
	offsets.AddOffset("plain", 0, offset, -1)
	s := h.did("commit offset", func() error { return h.admin.CommitAllOffsets(h.t.Context(), "plain", offsets) })
	h.offsets = append(h.offsets, numbered{s, offset})
}

func (h *history) deleteRecords(offset int64) {
	var offsets kadm.Offsets
	offsets.AddOffset("plain", 0, offset, -1)
	s := h.did("delete records", func() error {
		resp, err := h.admin.DeleteRecords(h.t.Context(), offsets)
		if err != nil {
			return err
		}
		return resp.Error()
	})
	h.deleted = append(h.deleted, numbered{s, offset})
}

func (h *history) retain(ms int64) {
	h.retained = append(h.retained, numbered{h.alter("both", "retention.ms", fmt.Sprint(ms)), ms})
}

func (h *history) alter(topic, name, value string) span {
	return h.did("alter configs", func() error {
		resp, err := h.admin.AlterTopicConfigs(h.t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
		if err != nil {
			return err
		}
		return resp[0].Err
	})
}

func (h *history) newProducerID() {
	for _, txid := range []*string{nil, kmsg.StringPtr("four")} {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionalID, r.TransactionTimeoutMillis = txid, 5000
		var id int64
		var epoch int16
		s := h.did("producer id", func() error {
			resp, err := r.RequestWith(h.t.Context(), h.producer)
			if err != nil {
				return err
			}
			id, epoch = resp.ProducerID, resp.ProducerEpoch
			return kerr.ErrorForCode(resp.ErrorCode)
		})
		h.given = append(h.given, given{s, id, epoch})
	}
}

// given is a producer id and epoch that a client was told.
type given struct {
	span
	id    int64
	epoch int16
}

func (h *history) logStart(topic string) int64 {
	starts, err := h.admin.ListStartOffsets(h.t.Context(), topic)
	if err != nil {
		h.t.Fatal(err)
	}
	o, _ := starts.Lookup(topic, 0)
	return o.Offset
}
