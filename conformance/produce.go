package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A call is how one batch is sent. The zero call is the newest version,
// acks=all, without a transactional id, on the connection of the case.
type call struct {
	version *int16 // nil: the newest
	acks    *int16 // nil: -1, all
	txid    string
	on      *conn // nil: the connection of the case to the leader
}

func at(v int16) *int16 { return &v }

// produceRequest builds the request that carries raw to one partition.
func (t *T) produceRequest(p partition, c call, raw []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	limit := int16(-1)
	if c.version != nil {
		limit = *c.version
	}
	req.Version = t.newest(req, limit)
	req.Acks = -1
	if c.acks != nil {
		req.Acks = *c.acks
	}
	req.TimeoutMillis = 10000
	if c.txid != "" {
		req.TransactionID = &c.txid
	}
	one := kmsg.NewProduceRequestTopic()
	one.Topic, one.TopicID = p.topic.name, p.topic.id
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = p.index, raw
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	return req
}

// produceRaw sends raw bytes as the records of one partition.
func (t *T) produceRaw(p partition, c call, raw []byte) kmsg.ProduceResponseTopicPartition {
	req := t.produceRequest(p, c, raw)
	on := c.on
	if on == nil {
		on = t.node(p.leader())
	}
	return t.produced(askOn[*kmsg.ProduceResponse](t, on, req))
}

// produced is the one partition of a produce answer.
func (t *T) produced(resp *kmsg.ProduceResponse) kmsg.ProduceResponseTopicPartition {
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("Produce", "1 partition answered", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].Partitions[0]
}

// produce sends one batch.
func (t *T) produce(p partition, c call, b batch) kmsg.ProduceResponseTopicPartition {
	return t.produceRaw(p, c, b.encode())
}

// fill appends n batches of one record from no producer.
func (t *T) fill(p partition, n int) {
	for i := range n {
		answer := t.produce(p, call{}, plain(fmt.Sprintf("plain-%d", i)))
		t.mustCode("plain produce", answer.ErrorCode, codeNone)
	}
}

// A producer is one producer id at one epoch, idempotent or transactional. It
// counts the sequences that its own sends use up, per partition.
type producer struct {
	t     *T
	txid  string // "" is an idempotent producer
	id    int64
	epoch int16
	tv    int // transaction protocol: 1 or 2
	next  map[partition]int32
}

// idempotent is a producer with a new producer id.
func (t *T) idempotent() *producer {
	answer := t.initProducerID(initCall{})
	t.mustCode("InitProducerId", answer.ErrorCode, codeNone)
	return &producer{t: t, id: answer.ProducerID, epoch: answer.ProducerEpoch, next: map[partition]int32{}}
}

// batch builds n records at a sequence, named by producer epoch and sequence.
func (p *producer) batch(seq int32, n int) batch {
	b := batch{producerID: p.id, producerEpoch: p.epoch, baseSequence: seq, transactional: p.txid != ""}
	for i := range n {
		b.values = append(b.values, fmt.Sprintf("%d/%d/%d", p.id, p.epoch, seq+int32(i)))
	}
	return b
}

// call is how this producer sends: Produce 11 in the first transaction
// protocol, the newest in the second.
func (p *producer) call() call {
	c := call{txid: p.txid}
	if p.tv == 1 {
		c.version = at(11)
	}
	return c
}

// send sends n records at a chosen sequence, once.
func (p *producer) send(to partition, seq int32, n int) kmsg.ProduceResponseTopicPartition {
	return p.t.produce(to, p.call(), p.batch(seq, n))
}

// append sends n records at the next sequence; it must succeed. An answer
// that the former transaction is still ending is asked again.
func (p *producer) append(to partition, n int) (baseOffset int64) {
	seq := p.next[to]
	var answer kmsg.ProduceResponseTopicPartition
	code := p.t.settle("Produce", isTransactionEnding, func() int16 {
		answer = p.send(to, seq, n)
		return answer.ErrorCode
	})
	p.t.mustCode(fmt.Sprintf("Produce sequence %d", seq), code, codeNone)
	p.next[to] = int32((int64(seq) + int64(n)) % (1 << 31))
	return answer.BaseOffset
}
