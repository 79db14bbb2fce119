package log

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
)

// windowSize is how many batches of a producer are remembered to recognise a
// resend: a client keeps at most five in flight. Source: KIP-98.
const windowSize = 5

// noEpoch and noOffset mark what a producer does not have yet.
const (
	noEpoch  int16 = -1
	noOffset int64 = -1
)

// ProduceInfo is what a request says about a batch and the batch does not.
type ProduceInfo struct {
	// Coordinator marks a batch that a coordinator wrote for a client: it has a
	// producer epoch but no sequence.
	Coordinator bool
	// TV2 marks a transactional batch of Produce 12 or newer (KIP-890).
	TV2 bool
	// LowestSequence is the lowest first sequence of the requests that started a
	// pending verification, -1 when none is pending (KAFKA-14884).
	// The zero value with Verifying unset is ignored.
	Verifying      bool
	LowestSequence int32
}

// A Verdict says what to do with a batch that was not refused.
type Verdict struct {
	// Duplicate: store nothing; answer with the original's offsets once the
	// original satisfies this request's acks (hard-04).
	Duplicate  bool
	Pending    bool // the original is in this round and not stored yet
	BaseOffset int64
	LastOffset int64
	AppendTime int64 // milliseconds; the original's maximum timestamp
}

// A Marker is what a transaction coordinator asks a partition to write.
type Marker struct {
	ProducerID       int64
	Epoch            int16
	CoordinatorEpoch int32
	Commit           bool
	TV2              bool // the transaction runs under transaction.version 2
}

// A ProducerState describes a producer to people: DescribeProducers and pages.
type ProducerState struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32 // -1: none
	LastTimestamp    int64 // milliseconds, -1: none
	CoordinatorEpoch int32 // -1: no marker yet
	TxnFirstOffset   int64 // -1: no open transaction
}

// batchRange is what is remembered of an accepted batch.
type batchRange struct {
	firstSequence, lastSequence int32
	firstOffset, lastOffset     int64
	timestamp                   int64 // the batch's maximum timestamp, ms
}

// A producer is the state of one producer id on one partition. It is a value:
// a copy may be tried out and thrown away.
type producer struct {
	id               int64
	epoch            int16 // noEpoch: nothing known
	coordinatorEpoch int32 // of the last marker, -1: none
	txnFirstOffset   int64 // noOffset: no open transaction
	lastTimestamp    int64 // ms, of the last batch or marker
	count            int   // batches in window, oldest first
	window           [windowSize]batchRange
	touched          time.Time // when it was last appended here; local, never compared between replicas (hard-09)
}

func newProducer(id int64) producer {
	return producer{id: id, epoch: noEpoch, coordinatorEpoch: -1, txnFirstOffset: noOffset, lastTimestamp: -1}
}

// lastSequence is the newest sequence number, -1 when no batch is known.
func (p *producer) lastSequence() int32 {
	if p.count == 0 {
		return -1
	}
	return p.window[p.count-1].lastSequence
}

// check decides what a client's batch means for this producer. It changes nothing.
//
// Errors: InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState.
// Source: KIP-98, KIP-890, org.apache.kafka.storage.internals.log.ProducerAppendInfo (D1-D9, hard-05).
func (p *producer) check(b record.Batch, info ProduceInfo) (Verdict, error) {
	first, epoch := b.BaseSequence(), b.ProducerEpoch()
	if planted.Is(planted.DuplicateAccepted) || planted.Is(planted.ZombieAccepted) && epoch < p.epoch {
		return Verdict{}, nil
	}
	if !info.Coordinator && epoch == p.epoch {
		if seen, ok := p.find(first, b.LastSequence()); ok {
			return Verdict{Duplicate: true, BaseOffset: seen.firstOffset, LastOffset: seen.lastOffset, AppendTime: seen.timestamp}, nil
		}
	}
	if epoch < p.epoch {
		return Verdict{}, fmt.Errorf("producer %d: epoch %d, want %d or newer: %w", p.id, epoch, p.epoch, kerr.InvalidProducerEpoch)
	}
	if !info.Coordinator {
		if err := p.checkSequence(epoch, first, info); err != nil {
			return Verdict{}, err
		}
	}
	if p.txnFirstOffset != noOffset && !b.IsTransactional() {
		return Verdict{}, fmt.Errorf("producer %d: batch outside a transaction, want one inside that opened at offset %d: %w",
			p.id, p.txnFirstOffset, kerr.InvalidTxnState)
	}
	return Verdict{}, nil
}

// checkSequence refuses a first sequence that does not follow.
func (p *producer) checkSequence(epoch int16, first int32, info ProduceInfo) error {
	refuse := func(want string) error {
		return fmt.Errorf("producer %d epoch %d: sequence %d, want %s: %w", p.id, epoch, first, want, kerr.OutOfOrderSequenceNumber)
	}
	switch {
	case info.TV2 && p.count == 0 && first != 0:
		return refuse("0, as no batch of it is known here")
	case info.Verifying && first > info.LowestSequence:
		return refuse(fmt.Sprintf("%d, which waits for verification", info.LowestSequence))
	case p.epoch == noEpoch:
		return nil // unknown here, perhaps deleted by retention: any sequence begins (KIP-360)
	case epoch != p.epoch && first != 0 && !planted.Is(planted.EpochAnywhere):
		return refuse("0, as the epoch is new")
	case epoch != p.epoch:
		return nil
	}
	next := int32(0)
	if p.count > 0 {
		next = record.AddSequence(p.lastSequence(), 1)
	}
	if planted.Is(planted.SequenceUnwrapped) {
		next = p.lastSequence() + 1
	}
	if first != next && !planted.Is(planted.GapAccepted) {
		return refuse(fmt.Sprint(next))
	}
	return nil
}

// find looks for a remembered batch of the same sequences.
func (p *producer) find(first, last int32) (batchRange, bool) {
	from := 0
	if planted.Is(planted.WindowShort) {
		from = max(0, p.count-1)
	}
	for _, seen := range p.window[from:p.count] {
		if first >= 0 && seen.firstSequence == first && seen.lastSequence == last {
			return seen, true
		}
	}
	return batchRange{}, false
}

// apply records a stored batch or marker, keeping the newest five batches. It
// says which transaction the row ended, if any.
func (p *producer) apply(r Row) (ended *completedTxn) {
	if r.ProducerEpoch > p.epoch {
		p.epoch, p.count = r.ProducerEpoch, 0
	}
	p.lastTimestamp = r.MaxTimestamp
	if r.IsControl() {
		if p.txnFirstOffset != noOffset {
			ended = &completedTxn{producerID: p.id, firstOffset: p.txnFirstOffset, markerOffset: r.BaseOffset, commit: r.Commit}
		}
		p.txnFirstOffset, p.coordinatorEpoch = noOffset, r.CoordinatorEpoch
		return ended
	}
	if r.BaseSequence >= 0 {
		if p.count == windowSize {
			copy(p.window[:], p.window[1:])
			p.count--
		}
		p.window[p.count] = batchRange{r.BaseSequence, r.LastSequence(), r.BaseOffset, r.NextOffset() - 1, r.MaxTimestamp}
		p.count++
	}
	if r.IsTransactional() && p.txnFirstOffset == noOffset {
		p.txnFirstOffset = r.BaseOffset
	}
	return nil
}

// checkMarker judges a marker by the partition's state (hard-12). needAppend
// false means that it was written before.
//
// Errors: TransactionCoordinatorFenced, InvalidProducerEpoch. Source: KIP-890.
func (p *producer) checkMarker(m Marker) (needAppend bool, err error) {
	if m.CoordinatorEpoch < p.coordinatorEpoch {
		return false, fmt.Errorf("marker of producer %d: coordinator epoch %d, want %d or newer: %w",
			p.id, m.CoordinatorEpoch, p.coordinatorEpoch, kerr.TransactionCoordinatorFenced)
	}
	open := p.txnFirstOffset != noOffset
	switch {
	case m.Epoch > p.epoch:
		return true, nil
	case m.Epoch < p.epoch:
		return false, fmt.Errorf("marker of producer %d: epoch %d, want %d or newer: %w", p.id, m.Epoch, p.epoch, kerr.InvalidProducerEpoch)
	case !open || m.TV2 && m.Epoch == math.MaxInt16:
		return false, nil
	case m.TV2:
		return false, fmt.Errorf("marker of producer %d: epoch %d is that of the open transaction, want a newer one: %w",
			p.id, m.Epoch, kerr.InvalidProducerEpoch)
	}
	return true, nil
}

// completedTxn is a transaction whose marker is stored but perhaps not committed.
type completedTxn struct {
	producerID                int64
	firstOffset, markerOffset int64
	commit                    bool
}

// openTxn names an open transaction by where it began.
type openTxn struct{ firstOffset, producerID int64 }

// producers is the producer state of one partition: a function of the rows
// stored so far, but for touched.
//
// It holds no lock; the log guards it.
type producers struct {
	byID map[int64]producer
	// open is sorted by first offset.
	open []openTxn
	// completed is sorted by marker offset. It holds what may still be above the
	// high watermark: such a transaction bounds the last stable offset (hard-15).
	completed []completedTxn
}

func newProducers() *producers { return &producers{byID: make(map[int64]producer)} }

// get returns a copy of the state of a producer, empty if unknown.
func (s *producers) get(id int64) producer {
	if p, ok := s.byID[id]; ok {
		return p
	}
	return newProducer(id)
}

// apply installs one stored row, in log order. It returns the aborted
// transaction that the row closed, if any.
func (s *producers) apply(r Row, now time.Time) (AbortedTxn, bool) {
	if r.Kind != KindBatch || r.ProducerID < 0 {
		return AbortedTxn{}, false
	}
	p := s.get(r.ProducerID)
	wasOpen := p.txnFirstOffset
	ended := p.apply(r)
	p.touched = now
	s.byID[r.ProducerID] = p
	if wasOpen == noOffset && p.txnFirstOffset != noOffset {
		s.open = append(s.open, openTxn{p.txnFirstOffset, p.id})
	}
	if ended == nil {
		return AbortedTxn{}, false
	}
	s.open = slices.DeleteFunc(s.open, func(o openTxn) bool { return o.producerID == ended.producerID })
	s.completed = append(s.completed, *ended)
	if ended.commit {
		return AbortedTxn{}, false
	}
	stable := r.NextOffset()
	if len(s.open) > 0 {
		stable = s.open[0].firstOffset
	}
	return AbortedTxn{ended.producerID, ended.firstOffset, ended.markerOffset, stable}, true
}

// keepCompleted is how many transactions below the high watermark are kept
// before they are dropped together.
const keepCompleted = 1024

// lastStableOffset is hard-15 without the log start: the first offset of every
// transaction that is open, or closed by a marker at or above hw, and at most
// hw. It forgets transactions whose marker is below hw, now and then: what is
// committed is never truncated.
func (s *producers) lastStableOffset(hw int64) int64 {
	done, _ := slices.BinarySearchFunc(s.completed, hw, func(c completedTxn, hw int64) int { return cmp.Compare(c.markerOffset, hw) })
	if done >= keepCompleted {
		s.completed = slices.Delete(s.completed, 0, done)
		done = 0
	}
	stable := hw
	for _, c := range s.completed[done:] {
		stable = min(stable, c.firstOffset)
	}
	if n := len(s.open); n > 0 && planted.Is(planted.StableOfNewest) {
		stable = min(stable, s.open[n-1].firstOffset)
	} else if n > 0 {
		stable = min(stable, s.open[0].firstOffset)
	}
	return stable
}

// expire drops producers not seen since the given time. Open transactions never expire (hard-09).
func (s *producers) expire(before time.Time) (dropped int) {
	for id, p := range s.byID {
		if p.txnFirstOffset == noOffset && p.touched.Before(before) {
			delete(s.byID, id)
			dropped++
		}
	}
	return dropped
}

// describe lists the producers by id.
func (s *producers) describe() []ProducerState {
	list := make([]ProducerState, 0, len(s.byID))
	for _, p := range s.byID {
		list = append(list, ProducerState{p.id, p.epoch, p.lastSequence(), p.lastTimestamp, p.coordinatorEpoch, p.txnFirstOffset})
	}
	slices.SortFunc(list, func(a, b ProducerState) int { return int(min(max(a.ProducerID-b.ProducerID, -1), 1)) })
	return list
}
