package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs are the compression codecs by Kafka's names.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// A sender is one producer: a client, and how far it has counted. Its own
// goroutine sends; the client's calls back, one record at a time.
type sender struct {
	r      *run
	number int32
	client *kgo.Client
	pool   sync.Pool // of *sending
	turn   int64     // of its records, for the partition
	next   []int64   // sequence, by partition

	// Of the client's goroutine; read after a flush.
	acked []int64 // by partition
	last  []int64 // offset, by partition
	wrong int64   // offsets that did not rise
}

// A sending is a record and its buffer on their way.
type sending struct {
	record kgo.Record
	s      *sender
	due    time.Duration
	flags  uint32
	done   func(*kgo.Record, error) // made once, since the record is used again
}

func (r *run) producerOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(r.s.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[r.s.Compression]),
		kgo.ProducerBatchMaxBytes(r.s.BatchBytes), kgo.ProducerLinger(time.Duration(r.s.Linger)),
		kgo.MaxBufferedRecords(r.s.MaxBuffered), kgo.MetadataMinAge(250 * time.Millisecond),
	}
	switch r.s.Acks {
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	}
	return opts
}

// senders makes the producers.
func (r *run) senders(ctx context.Context, extra func(i int) []kgo.Opt) (all []*sender, err error) {
	opts := r.producerOptions()
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	for i := range r.s.Producers {
		client, err := r.Dial(ctx, append(opts[:len(opts):len(opts)], extra(i)...)...)
		if err != nil {
			return all, err
		}
		s := &sender{
			r: r, number: int32(i), client: client, turn: int64(i),
			next: make([]int64, r.s.Partitions), acked: make([]int64, r.s.Partitions), last: make([]int64, r.s.Partitions),
		}
		for p := range s.last {
			s.last[p] = -1
		}
		s.pool.New = s.newSending
		all = append(all, s)
	}
	return all, nil
}

func noOptions(int) []kgo.Opt { return nil }

func closeAll(all []*sender) {
	for _, s := range all {
		s.client.Close()
	}
}

func (s *sender) newSending() any {
	one := &sending{s: s, record: kgo.Record{Value: s.r.form.value()}}
	one.done = one.finish
	return one
}

// send gives the next record to the client. It waits while the client's buffer
// is full.
func (s *sender) send(ctx context.Context, due time.Duration, flags uint32) {
	one := s.pool.Get().(*sending)
	p := int32(s.turn % int64(s.r.s.Partitions))
	s.turn++
	stamp := stamp{producer: s.number, flags: flags, due: due}
	if flags&flagAborted == 0 {
		stamp.sequence = s.next[p]
		s.next[p]++
	}
	one.due, one.flags = due, flags
	one.record = kgo.Record{Value: one.record.Value, Partition: p}
	s.r.form.put(one.record.Value, stamp)
	s.client.Produce(ctx, &one.record, one.done)
}

// finish is called by the client when the record is answered.
func (one *sending) finish(record *kgo.Record, err error) {
	s, r := one.s, one.s.r
	if err != nil {
		r.meter.failed(fmt.Errorf("produce to %s-%d: %w", r.s.Topic, record.Partition, err))
		r.stopping.Store(true)
		return
	}
	p := record.Partition
	if one.flags&flagAborted == 0 {
		s.acked[p]++
	}
	if r.s.Acks != "0" { // which tells no offsets
		if record.Offset <= s.last[p] {
			s.wrong++
		}
		s.last[p] = record.Offset
	}
	switch r.Kind {
	case Produce:
		r.meter.done("ack", one.due, r.meter.now(), 1, len(record.Value))
	case EndToEnd:
		r.meter.took("ack", one.due, r.meter.now())
	}
	s.pool.Put(one)
}

// before is when a record was due that is not measured, whenever it is done.
const before = time.Duration(-1)

// open writes the record before the first, and waits for its answer: connections,
// metadata and producer id are there when the clock starts.
func (s *sender) open(ctx context.Context) error {
	if s.r.Kind == Txn {
		return s.transaction(ctx, before, 1, true)
	}
	s.send(ctx, before, 0)
	return s.flush(ctx)
}

// flush waits until all is answered.
func (s *sender) flush(ctx context.Context) error {
	if err := s.client.Flush(ctx); err != nil {
		return fmt.Errorf("wait for the answers: %w", err)
	}
	return nil
}

// A plan is when producers send.
type plan struct {
	schedule
	start, end time.Duration // since the run began
	most       int64         // of all producers; 0: no bound
}

// load sends records as planned.
func (s *sender) load(ctx context.Context, p plan) error {
	work := context.WithoutCancel(ctx)
	s.pace(ctx, p, func(due time.Duration) bool {
		s.send(work, due, 0)
		return true
	})
	return s.flush(work)
}

// pace calls do for each of this producer's turns when it is due, until the
// plan's end or until do says so.
func (s *sender) pace(ctx context.Context, p plan, do func(due time.Duration) bool) {
	r := s.r
	if p.rate > 0 {
		runtime.LockOSThread() // preciseSleep blocks it
		defer runtime.UnlockOSThread()
	}
	for n := int64(s.number); p.most == 0 || n < p.most; n += int64(r.s.Producers) {
		now := r.meter.now()
		due := now
		if p.rate > 0 {
			due = p.start + p.due(n)
			if due > now && due < p.end {
				if !sleepUntil(ctx, r.meter.began.Add(due)) {
					return
				}
				now = r.meter.now()
			}
			if late := now - due; late > coarse && due < p.end {
				r.meter.lagged(late)
			}
		}
		if due >= p.end || r.stopping.Load() || !do(due) {
			return
		}
	}
}

// sendAll has all producers send as planned and waits for them. Their first
// error ends the load.
func (r *run) sendAll(ctx context.Context, all []*sender, load func(*sender) error) error {
	defer r.progress()()
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, s := range all {
		wait.Go(func() { errs[i] = load(s) })
	}
	wait.Wait()
	if r.stopping.Load() {
		r.meter.end(r.meter.now())
	}
	return errors.Join(errs...)
}

// openAll writes the record before the first of each.
func openAll(ctx context.Context, all []*sender) error {
	for _, s := range all {
		if err := s.open(ctx); err != nil {
			return err
		}
	}
	return nil
}
