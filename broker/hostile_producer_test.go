package broker_test

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// producerID is one that was given to nobody else.
func (h *hostile) producerID() int64 {
	r := kmsg.NewPtrInitProducerIDRequest()
	r.Version = 4
	return h.must(r).(*kmsg.InitProducerIDResponse).ProducerID
}

// sequence writes n records as a producer, and returns the error and the offset.
func (h *hostile) sequence(id int64, epoch int16, first int32, n int) (int16, int64) {
	h.Helper()
	answer := h.ask(h.produce(producedBy(id, epoch, first, n))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return answer.ErrorCode, answer.BaseOffset
}

func producedBy(id int64, epoch int16, first int32, n int) record.Batch {
	o := record.NoProducer()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence = id, epoch, first
	return batchBy(o, make([]string, n)...)
}

// after writes batches of one record as a producer of its own, each of an epoch
// and a sequence, and is the request for the last of them.
func after(batches ...[2]int32) func(*hostile) []byte {
	return func(h *hostile) []byte {
		id := h.producerID()
		last := len(batches) - 1
		for _, b := range batches[:last] {
			if n, _ := h.sequence(id, int16(b[0]), b[1], 1); n != 0 {
				h.Fatalf("epoch %d, sequence %d: error code %d", b[0], b[1], n)
			}
		}
		return frame(h.produce(producedBy(id, int16(batches[last][0]), batches[last][1], 1)))
	}
}

// written is a batch of one record of a producer.
func written(id int64, epoch int16, first int32) func(*hostile) []byte {
	return func(h *hostile) []byte { return frame(h.produce(producedBy(id, epoch, first, 1))) }
}

func TestHostileProducers(t *testing.T) {
	play(t, []hostileRow{
		{number: 70, what: "a producer id with sequence -1", send: after([2]int32{0, -1}), want: code(87)},
		{number: 71, what: "the same batch again", run: sentTwice},
		{number: 72, what: "a gap", send: after([2]int32{0, 0}, [2]int32{0, 2}), want: code(45)},
		{number: 73, what: "a new epoch that begins at 3", send: after([2]int32{0, 0}, [2]int32{1, 3}), want: code(45)},
		{number: 74, what: "an old epoch", send: after([2]int32{1, 0}, [2]int32{0, 1}), want: code(47)},
		{number: 75, what: "a batch over the end of the sequences, and 76 the next", run: wraps},
		{number: 77, what: "an unknown producer at 0", send: written(1<<40, 0, 0), want: code(0)},
		{number: 78, what: "an unknown producer at 44", send: written(1<<41, 0, 44), want: code(0)},
		{number: 78, what: "a producer id of -5", send: written(-5, 0, 0), want: code(87), kafka: code(0)},
		{number: 78, what: "epoch -1 of a producer", send: written(1<<42, -1, 0), want: code(87), kafka: code(0)},
	})
}

func sentTwice(h *hostile) {
	id := h.producerID()
	for i := range 2 {
		if n, at := h.sequence(id, 0, 0, 3); n != 0 || at != 0 {
			h.Errorf("sent %d times: error code %d at offset %d, want none at 0", i+1, n, at)
		}
	}
}

func wraps(h *hostile) {
	id := h.producerID()
	if n, at := h.sequence(id, 0, math.MaxInt32-1, 3); n != 0 || at != 0 {
		h.Errorf("over the end: error code %d at offset %d", n, at)
	}
	if n, at := h.sequence(id, 0, 1, 1); n != 0 || at != 3 {
		h.Errorf("sequence 1 after it: error code %d at offset %d, want 3", n, at)
	}
}

// coordinator makes the internal topic of a kind of coordinator, as clients do
// before they speak to it.
func (h *hostile) coordinator(kind int8, key string) {
	h.Helper()
	r := kmsg.NewPtrFindCoordinatorRequest()
	r.Version, r.CoordinatorType, r.CoordinatorKeys = 4, kind, []string{key}
	h.must(r)
}

// transactional sends a request to the coordinator of an id that it may name.
func transactional(build func(h *hostile, id string) kmsg.Request) func(*hostile) []byte {
	return func(h *hostile) []byte {
		h.coordinator(1, h.topic)
		return frame(build(h, h.topic))
	}
}

func openedWith(timeout int32) func(*hostile) []byte {
	return transactional(func(_ *hostile, id string) kmsg.Request {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.Version, r.TransactionalID, r.TransactionTimeoutMillis = 4, &id, timeout
		return r
	})
}

func TestHostileTransactions(t *testing.T) {
	play(t, []hostileRow{
		{number: 79, what: "a transactional batch without an id", send: transactionalBatch(false), want: code(53)},
		{number: 80, what: "a transactional batch of no transaction", send: transactionalBatch(true), want: code(49)},
		{number: 81, what: "time-out 0", send: openedWith(0), want: code(50)},
		{number: 82, what: "time-out 2147483647", send: openedWith(math.MaxInt32), want: code(50)},
		{number: 82, what: "time-out -1", send: openedWith(-1), want: code(50)},
		{number: 83, what: "an empty transactional id", want: code(42), send: transactional(func(*hostile, string) kmsg.Request {
			r := kmsg.NewPtrInitProducerIDRequest()
			r.Version, r.TransactionalID, r.TransactionTimeoutMillis = 4, new(string), 60_000
			return r
		})},
		{number: 84, what: "the end of a transaction of an unknown id", want: code(49), send: transactional(func(_ *hostile, id string) kmsg.Request {
			r := kmsg.NewPtrEndTxnRequest()
			r.Version, r.TransactionalID, r.ProducerID, r.Commit = 3, id, 1, true
			return r
		})},
		{number: 85, what: "partitions of an unknown id", want: code(49), send: transactional(func(h *hostile, id string) kmsg.Request {
			r := kmsg.NewPtrAddPartitionsToTxnRequest()
			r.Version, r.TransactionalID, r.ProducerID = 3, id, 1
			r.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: h.topic, Partitions: []int32{0}}}
			return r
		})},
		{number: 86, what: "offsets of an unknown id", want: code(49), send: transactional(func(h *hostile, id string) kmsg.Request {
			h.coordinator(0, "group")
			r := kmsg.NewPtrTxnOffsetCommitRequest()
			r.Version, r.TransactionalID, r.Group, r.ProducerID, r.Generation = 3, id, "group", 1, -1
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic, topic.Partitions = h.topic, []kmsg.TxnOffsetCommitRequestTopicPartition{kmsg.NewTxnOffsetCommitRequestTopicPartition()}
			r.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
			return r
		})},
	})
}

func transactionalBatch(withID bool) func(*hostile) []byte {
	return transactional(func(h *hostile, id string) kmsg.Request {
		o := record.NoProducer()
		o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = 1, 0, 0, true
		r := h.produce(batchBy(o, "value"))
		if withID {
			r.TransactionID = &id
		}
		return r
	})
}
