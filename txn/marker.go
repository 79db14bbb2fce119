package txn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication/shard"
)

const (
	// markerBackoff doubles between attempts at one marker, up to markerBackoffMax.
	markerBackoff    = 20 * time.Millisecond
	markerBackoffMax = time.Second
	// markersAtOnce bounds the markers of one transaction under way together.
	markersAtOnce = 64
	// settlersKept is how many goroutines of a leadership stay for the next
	// transaction that ends: a new one first grows its stack, 4% of a commit.
	settlersKept = 8
)

// A Marker asks the leader of a participant to end a transaction there.
type Marker struct {
	Participant
	ProducerID       int64
	ProducerEpoch    int16
	Commit           bool
	TV2              bool  // by the rules of KIP-890 (WriteTxnMarkers v2 says it too)
	CoordinatorEpoch int32 // leader epoch of the __transaction_state partition
	// CoordinatorPartition and Session number the link it is sent on. A repeat is
	// sent on a later session only, and a receiver that has accepted a session
	// refuses the earlier ones of the same coordinator partition (Sessions), so a
	// late copy cannot end the next transaction of a TV1 producer (hard-12).
	CoordinatorPartition int32
	Session              int64
}

// Markers carries markers to the participants.
//
// WriteMarker returns nil once the partition's state says that the transaction is
// over there and the entry that says so is committed. After any error the same
// marker is sent again; it returns only when its own attempt can do nothing more,
// unless ctx ended.
type Markers interface {
	WriteMarker(ctx context.Context, m Marker) error
}

// A term is one leadership of this node over a partition.
type term struct {
	partition *partition
	epoch     int32
	before    <-chan struct{} // closed when nothing of the leaderships before goes on
	ctx       context.Context // ended with the leadership
	cancel    context.CancelFunc
	jobs      sync.WaitGroup // added to under the view lock, before cancel
	done      chan struct{}  // closed when the leadership is over and its jobs have ended
	ended     chan endedTxn  // taken by settlers that wait
	kept      chan struct{}  // one element for each settler that waits; its capacity bounds them
}

// An endedTxn is a prepared transaction whose markers are to be written.
type endedTxn struct {
	id       string
	prepared *Transaction
}

// openTerm begins a leadership, with a marker session of its own.
func (p *partition) openTerm(epoch int32) *term {
	t := &term{
		partition: p, epoch: epoch, before: p.before, done: make(chan struct{}),
		ended: make(chan endedTxn), kept: make(chan struct{}, settlersKept),
	}
	t.ctx, t.cancel = context.WithCancel(p.ctx)
	p.before = t.done
	p.session.Add(1)
	return t
}

// close ends a leadership; its jobs end on their own. The caller holds the view
// lock.
func (t *term) close() {
	t.cancel()
	t.partition.jobs.Go(func() {
		<-t.before
		t.jobs.Wait()
		close(t.done)
	})
}

// settle starts to write the markers of a prepared transaction. The caller holds
// the view lock.
func (t *term) settle(id string, prepared *Transaction) {
	e := endedTxn{id, prepared}
	select {
	case t.ended <- e:
	default:
		t.jobs.Go(func() { t.settler(e) })
	}
}

// settler settles e, and then, unless there are settlers enough, what comes.
func (t *term) settler(e endedTxn) {
	<-t.before // one marker per participant is outstanding
	for {
		t.writeMarkers(e.id, e.prepared)
		t.complete(e.id, e.prepared)
		select {
		case t.kept <- struct{}{}:
		default:
			return
		}
		select {
		case e = <-t.ended:
			<-t.kept
		case <-t.ctx.Done():
			return
		}
	}
}

// writeMarkers returns when every participant has its marker, or the leadership
// is over.
func (t *term) writeMarkers(id string, prepared *Transaction) {
	var group sync.WaitGroup
	slots := make(chan struct{}, markersAtOnce)
	for i, p := range prepared.Participants {
		m := Marker{
			Participant: p, ProducerID: prepared.ProducerID, ProducerEpoch: prepared.ProducerEpoch,
			Commit: prepared.State == PrepareCommit && !planted.Is(planted.CommitAborts), TV2: prepared.ClientVersion >= TV2,
			CoordinatorEpoch: t.epoch, CoordinatorPartition: t.partition.number,
		}
		if i == len(prepared.Participants)-1 && planted.Is(planted.MarkerMissing) {
			break
		}
		if i == len(prepared.Participants)-1 {
			t.writeMarker(id, m)
			break
		}
		slots <- struct{}{}
		group.Go(func() {
			t.writeMarker(id, m)
			<-slots
		})
	}
	group.Wait()
}

// writeMarker sends one marker until it is answered, its topic is gone, or the
// leadership is over. An attempt itself is not cut short by the end of the
// leadership: it must have ended before the next one sends again.
func (t *term) writeMarker(id string, m Marker) {
	p := t.partition
	sent := int64(-1)
	for attempt := 0; ; attempt++ {
		if p.c.deleted(m.TopicID) {
			p.logger.Info("marker dropped, the topic was deleted", "transactional_id", id, "topic", m.Topic, "partition", m.Partition)
			return
		}
		m.Session = p.newerSession(sent)
		sent = m.Session
		err := p.c.cfg.Markers.WriteMarker(p.ctx, m)
		if err == nil {
			return
		}
		if attempt == 0 {
			p.logger.Info("marker not written, trying again", "transactional_id", id, "topic", m.Topic,
				"partition", m.Partition, "producer_id", m.ProducerID, "producer_epoch", m.ProducerEpoch, "err", err)
		}
		if !sleep(t.ctx, backoff(attempt)) {
			return
		}
	}
}

// newerSession is the present session if it is later than sent, else a new one.
func (p *partition) newerSession(sent int64) int64 {
	p.session.CompareAndSwap(sent, sent+1)
	return p.session.Load()
}

// complete stores that the transaction is over, unless the leadership is.
func (t *term) complete(id string, prepared *Transaction) {
	for attempt := 0; t.ctx.Err() == nil; attempt++ {
		err := t.partition.complete(t.ctx, id, prepared)
		if err == nil {
			return
		}
		if t.ctx.Err() == nil {
			t.partition.logger.Info("completion not stored, trying again", "transactional_id", id, "err", err)
		}
		sleep(t.ctx, backoff(attempt))
	}
}

// complete is decideComplete as an update.
func (p *partition) complete(ctx context.Context, id string, prepared *Transaction) error {
	_, err := p.shard.Update(ctx, id, func(v *view, _ int32) (shard.Write, error) {
		if v.get(id) != prepared {
			return shard.Write{}, nil // another leadership completed it
		}
		now := time.Now()
		out, err := decideComplete(prepared, now)
		if err != nil {
			return shard.Write{}, err
		}
		return write(id, out.next, now), nil
	})
	return err
}

func backoff(attempt int) time.Duration {
	return min(markerBackoff<<min(attempt, 10), markerBackoffMax)
}

// sleep waits for d. It is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Sessions is the receiving end of numbered marker sessions. The zero value is
// ready to use.
type Sessions struct {
	mu     sync.Mutex
	newest map[int32]session // by coordinator partition
}

type session struct {
	epoch  int32
	number int64
}

// Accept admits a marker unless a later session of the same coordinator partition
// was accepted before.
func (s *Sessions) Accept(m Marker) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest, known := s.newest[m.CoordinatorPartition]
	now := session{m.CoordinatorEpoch, m.Session}
	if known && (now.epoch < newest.epoch || now.epoch == newest.epoch && now.number < newest.number) {
		return fmt.Errorf("marker session %d of coordinator epoch %d, newest is %d of %d", now.number, now.epoch, newest.number, newest.epoch)
	}
	if s.newest == nil {
		s.newest = map[int32]session{}
	}
	s.newest[m.CoordinatorPartition] = now
	return nil
}
