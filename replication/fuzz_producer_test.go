package replication

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

// A fuzzProducer is an idempotent client with up to five batches in flight,
// that sends what is not acked again, in order, to whoever leads. Sometimes it
// gives up on an answer and sends again while the first request still runs.
type fuzzProducer struct {
	f       *fuzz
	id      int64
	next    int32 // first sequence of the next new batch
	pending []*flight
	window  int // 1 until the first ack: a partition takes any first sequence of a producer it does not know (KIP-360)
	late    sync.WaitGroup
}

// A flight is a batch that is not acked yet.
type flight struct {
	sequence int32
	count    int
}

func (p *fuzzProducer) run() {
	defer p.late.Wait()
	for p.f.ctx.Err() == nil || len(p.pending) > 0 {
		select {
		case <-p.f.over:
			return
		default:
		}
		for len(p.pending) < p.window && p.f.ctx.Err() == nil {
			n := 1 + p.f.intn(3)
			p.pending = append(p.pending, &flight{p.next, n})
			p.next += int32(n)
		}
		if to := p.target(); to != nil {
			p.send(to)
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// target is who seems to lead; now and then another.
func (p *fuzzProducer) target() *Partition {
	if p.f.chance(5) {
		return p.f.partition(p.f.anyone())
	}
	return p.f.leader()
}

// send has all pending batches in flight at once and keeps what is not acked.
func (p *fuzzProducer) send(to *Partition) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	type result struct {
		fl  *flight
		got Appended
		err error
		crc uint32
	}
	results := make(chan result, 2*len(p.pending))
	waiting := 0
	for _, fl := range p.pending {
		for range 1 + p.f.intn(12)/11 { // now and then twice, on two connections
			batch := p.batch(fl)
			q, err := to.proposal(context.Background(), Append{Batch: batch, Acks: -1})
			if err != nil {
				continue
			}
			waiting++
			to.order.submit(q)
			p.late.Go(func() {
				to.order.await(ctx, q)
				results <- result{fl, to.appended(q), q.err, batch.CRC()}
			})
		}
	}
	patience := time.Duration(1+p.f.intn(3000)) * time.Millisecond
	impatient := time.After(patience)
	acked := make(map[*flight]bool)
	for ; waiting > 0; waiting-- {
		select {
		case r := <-results:
			if p.answer(r.fl, r.got, r.err, r.crc) {
				acked[r.fl] = true
			}
			continue
		case <-impatient:
		}
		break
	}
	if waiting == 0 {
		cancel()
	} else {
		p.late.Go(func() {
			<-ctx.Done()
			cancel()
		})
	}
	rest := p.pending[:0]
	for _, fl := range p.pending {
		if !acked[fl] {
			rest = append(rest, fl)
			continue
		}
		p.window = 5
	}
	p.pending = rest
	time.Sleep(time.Duration(p.f.intn(60)) * time.Millisecond)
}

// batch encodes a flight: the same bytes each time it is sent.
func (p *fuzzProducer) batch(fl *flight) record.Batch {
	return batchOf(p.id, 0, fl.sequence, fl.count)
}

// answer judges one answer and remembers an ack.
func (p *fuzzProducer) answer(fl *flight, got Appended, err error, crc uint32) bool {
	if err != nil {
		for _, allowed := range []error{
			kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.OutOfOrderSequenceNumber, kerr.KafkaStorageError,
			kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
		} {
			if errors.Is(err, allowed) {
				return false
			}
		}
		p.f.violation("producer %d: sequence %d got %v", p.id, fl.sequence, err)
		return false
	}
	key, now := ackKey{p.id, fl.sequence}, ackedBatch{got.BaseOffset, crc}
	p.f.mu.Lock()
	before, twice := p.f.acked[key]
	p.f.acked[key] = now
	if got.Duplicate {
		p.f.count.duplicates++
	}
	p.f.mu.Unlock()
	if twice && before != now {
		p.f.violation("producer %d: sequence %d acked at %+v and at %+v", p.id, fl.sequence, before, now)
	}
	return true
}
