package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

const (
	// abortRetry is when the abort of a timed-out transaction, or the search for
	// such ones, is tried again.
	abortRetry = 500 * time.Millisecond
	// abortsAtOnce bounds the aborts under way together in one partition.
	abortsAtOnce = 64
)

// A partition is the coordinator of one __transaction_state partition on this
// node, through all its leaderships.
//
// One goroutine follows the timeouts of transactions and one the expiry of ids,
// which may take long. Each transaction that ends has one goroutine of its term
// for its markers.
type partition struct {
	c      *Coordinator
	number int32
	shard  *shard.Shard[*view]
	logger *slog.Logger
	ctx    context.Context // ended by close
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1
	jobs   sync.WaitGroup
	// before is done when the newest leadership and all its jobs are; only load
	// touches it.
	before  <-chan struct{}
	session atomic.Int64 // newest marker session
}

func openPartition(c *Coordinator, number int32, p shard.Partition) *partition {
	t := &partition{c: c, number: number, logger: c.logger.With("coordinator_partition", number), wake: make(chan struct{}, 1)}
	none := make(chan struct{})
	close(none)
	t.before = none
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.shard = shard.Open(t.ctx, p, newView, shard.Options[*view]{OnLoad: t.load, OnUnload: t.unload, Logger: t.logger})
	t.jobs.Go(t.watchTimeouts)
	t.jobs.Go(t.watchExpiry)
	return t
}

// close ends the partition's goroutines and waits for them.
func (p *partition) close() {
	p.cancel()
	p.shard.Close()
	p.jobs.Wait()
}

func (p *partition) load(v *view, epoch int32) {
	v.load(p.openTerm(epoch))
	p.nudge()
}

func (p *partition) unload(v *view, _ int32) { v.unload() }

func (p *partition) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// watchTimeouts aborts what times out, until close.
func (p *partition) watchTimeouts() {
	var aborts sync.WaitGroup
	defer aborts.Wait()
	slots := make(chan struct{}, abortsAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
		over, next := p.due()
		for _, one := range over {
			select {
			case slots <- struct{}{}:
			case <-p.ctx.Done():
				return
			}
			aborts.Go(func() {
				p.abort(one)
				<-slots
			})
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// due lists what has timed out, and says when to look again: zero is when a
// leadership or a transaction begins, which wakes watchTimeouts.
func (p *partition) due() (over []timedOut, next time.Time) {
	err := p.shard.View(p.ctx, func(v *view) { over, next = v.takeDue(time.Now()) })
	if err != nil && (!errors.Is(err, kerr.NotCoordinator) || errors.Is(err, shard.ErrFenced)) {
		next = time.Now().Add(abortRetry)
	}
	return over, next
}

// watchExpiry forgets what expires, until close.
func (p *partition) watchExpiry() {
	ticker := time.NewTicker(p.c.cfg.IDExpiryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.expire()
		case <-p.ctx.Done():
			return
		}
	}
}

// A timedOut is one transaction whose time is over.
type timedOut struct {
	id            string
	producerID    int64
	producerEpoch int16
	start         int64
}

func newTimedOut(e *entry) timedOut {
	return timedOut{e.id, e.txn.ProducerID, e.txn.ProducerEpoch, e.txn.StartTime}
}

// is says whether t is still that transaction, and open.
func (o timedOut) is(t *Transaction) bool {
	return t != nil && t.State == Ongoing && t.ProducerID == o.producerID && t.ProducerEpoch == o.producerEpoch && t.StartTime == o.start
}

// abort fences the producer of a timed-out transaction (KIP-98, KIP-588).
func (p *partition) abort(o timedOut) {
	aborted := false
	_, err := p.update(p.ctx, o.id, func(t *Transaction, newID int64, now time.Time) (outcome, error) {
		if aborted = o.is(t); !aborted {
			return outcome{}, nil
		}
		return decideFence(t, fenceRequest{newID: newID, serverVersion: p.c.cfg.TransactionVersion(), now: now})
	})
	switch {
	case err != nil && p.ctx.Err() == nil:
		p.logger.Info("timed-out transaction not aborted, trying again", "transactional_id", o.id, "err", err)
	case err == nil && aborted:
		p.logger.Info("transaction timed out and is aborted", "transactional_id", o.id, "producer_id", o.producerID, "producer_epoch", o.producerEpoch)
	}
}

// expire forgets the transactional ids that nobody used for the expiration time.
func (p *partition) expire() {
	var ids []string
	expiration := p.c.cfg.IDExpiration
	err := p.shard.View(p.ctx, func(v *view) { ids = v.idle(time.Now(), expiration) })
	for _, id := range ids {
		if err != nil {
			break
		}
		_, err = p.shard.Update(p.ctx, id, func(v *view, _ int32) (shard.Write, error) {
			e, now := v.entries[id], time.Now()
			if e == nil || !e.txn.expired(now.Sub(e.touched), expiration) {
				return shard.Write{}, nil
			}
			return write(id, nil, now), nil
		})
	}
	if err != nil && p.ctx.Err() == nil && !errors.Is(err, kerr.NotCoordinator) {
		p.logger.Info("expiry of transactional ids stopped until its next turn", "err", err)
		return
	}
	if len(ids) > 0 {
		p.logger.Info("transactional ids expired", "count", len(ids))
	}
}

// A decider is a pure decision: the present state (nil: unknown id), a producer
// id nobody has had or NoProducerID, and the time.
type decider func(t *Transaction, newID int64, now time.Time) (outcome, error)

// update decides, stores and installs one move. If the decision needs a producer
// id, it gets one and decides again.
func (p *partition) update(ctx context.Context, id string, decide decider) (outcome, error) {
	for newID := NoProducerID; ; {
		var out outcome
		_, err := p.shard.Update(ctx, id, func(v *view, _ int32) (w shard.Write, err error) {
			now := time.Now()
			out, err = decide(v.get(id), newID, now)
			if err != nil || out.next == nil {
				return shard.Write{}, err
			}
			return write(id, out.next, now), nil
		})
		if !errors.Is(err, errNeedProducerID) || newID != NoProducerID {
			return out, err
		}
		if newID, err = p.c.ids.next(ctx); err != nil {
			return outcome{}, err
		}
	}
}

// write is one record as a batch of its own.
func write(id string, t *Transaction, now time.Time) shard.Write {
	return shard.Write{Records: []record.Record{encode(id, t, now)}}
}

// inFlight waits until the markers of id are written, or the leadership or ctx
// ends.
func (p *partition) inFlight(ctx context.Context, id string) error {
	var settled <-chan struct{}
	if err := p.shard.View(ctx, func(v *view) { settled = v.inFlight(id) }); err != nil || settled == nil {
		return err
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("markers are still in flight: %w", context.Cause(ctx))
	}
}
