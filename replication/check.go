package replication

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
)

// A Guard says that a producer's transaction is being verified with its
// coordinator. It is made before the coordinator is asked, and any marker or
// change of leadership destroys it: a batch whose transaction ended meanwhile
// does not open another (hard-07, KAFKA-14884).
type Guard struct {
	lead  *reign
	asked []verifying
	made  time.Time
}

// A verifying is a batch that is being verified.
type verifying struct {
	epoch    int16
	sequence int32 // its first
}

// Guard returns the standing guard of a producer, or makes one. It is nil
// while this replica does not lead.
func (p *Partition) Guard(producerID int64) *Guard { return p.GuardFrom(producerID, -1, -1) }

// GuardFrom is Guard for a batch with this epoch and first sequence. While the
// guard stands, no batch of that epoch with a higher one may open the transaction
// (hard-05). If the verification fails, Withdraw the batch.
func (p *Partition) GuardFrom(producerID int64, epoch int16, firstSequence int32) *Guard {
	o := &p.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lead == nil {
		return nil
	}
	g := o.guards[producerID]
	if g == nil {
		if o.guards == nil {
			o.guards = make(map[int64]*Guard)
		}
		g = &Guard{lead: o.lead, made: time.Now()}
		o.guards[producerID] = g
	}
	if firstSequence >= 0 {
		g.asked = append(g.asked, verifying{epoch, firstSequence})
	}
	return g
}

// Withdraw takes back what GuardFrom noted for a batch that will not be
// appended. A guard that nobody else asked for falls.
func (p *Partition) Withdraw(producerID int64, g *Guard, epoch int16, firstSequence int32) {
	o := &p.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if g == nil || o.guards[producerID] != g {
		return
	}
	if i := slices.Index(g.asked, verifying{epoch, firstSequence}); i >= 0 {
		g.asked = slices.Delete(g.asked, i, i+1)
	}
	if len(g.asked) == 0 {
		delete(o.guards, producerID)
	}
}

// standing is the guard of a producer and the lowest sequence of an epoch that is
// being verified under it, -1 for none. What a fenced producer asks for is no
// concern of its successor. Source: VerificationStateEntry.
func (o *order) standing(producerID int64, epoch int16) (g *Guard, lowest int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, lowest = o.guards[producerID], -1
	if g == nil {
		return g, lowest
	}
	for _, v := range g.asked {
		if v.epoch == epoch && (lowest < 0 || v.sequence < lowest) {
			lowest = v.sequence
		}
	}
	return g, lowest
}

func (o *order) dropGuard(producerID int64) {
	o.mu.Lock()
	delete(o.guards, producerID)
	o.mu.Unlock()
}

// expireGuards drops guards whose requests never came back.
func (o *order) expireGuards(before time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, g := range o.guards {
		if g.made.Before(before) {
			delete(o.guards, id)
		}
	}
}

// A check judges the proposals of one round against the log and what the round
// has accepted so far.
type check struct {
	order     *order
	lead      *reign
	tentative *log.Tentative
	end, next int64 // log end as the round found it, and with what it accepted
}

// judged has the check fill the outcomes. A panic of it, a bug of ours, refuses
// the round: were it to pass, the turn would be lost, and no append would ever
// be answered again. Nothing is harmed by going on, as judging changes nothing.
func (o *order) judged(lead *reign, batch []*proposal) {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("panic in the check of an append: %v\n%s", r, debug.Stack())
			for _, q := range batch {
				q.outcome, q.err = refused, err
			}
		}
	}()
	o.check(lead, batch)
}

// judge fills the outcome of each proposal. The caller holds the turn.
func (o *order) judge(lead *reign, batch []*proposal) {
	end := lead.group.log.EndOffset()
	c := &check{order: o, lead: lead, tentative: lead.group.log.Tentative(), end: end, next: end}
	for _, q := range batch {
		switch {
		case q.epoch > 0 && q.epoch != int32(lead.term):
			q.outcome, q.err = refused, errNotLeader
		case q.marker != nil:
			c.marker(q)
		case q.kind == log.KindBatch:
			c.batch(q)
		default:
			q.outcome = accepted
		}
	}
}

// batch judges a producer's batch. A duplicate is answered whatever else is
// wrong; of what is wrong an old epoch counts first, then an unverified
// transaction, then the sequence.
// Source: UnifiedLog.analyzeAndValidateProducerState.
func (c *check) batch(q *proposal) {
	b := q.batch()
	id := b.ProducerID()
	if b.IsTransactional() && !c.open(b) {
		if _, lowest := c.order.standing(id, b.ProducerEpoch()); lowest >= 0 {
			q.info.Verifying, q.info.LowestSequence = true, lowest
		}
	}
	verdict, err := c.tentative.Check(b, q.info)
	if verdict.Duplicate {
		q.outcome, q.base, q.last, q.at = known, verdict.BaseOffset, verdict.LastOffset, verdict.AppendTime
		q.reach = c.lead.group.log.LastIndex()
		if planted.Is(planted.DuplicateMoved) {
			q.base = c.next
		}
		if verdict.Pending {
			q.outcome = repeated
		}
		return
	}
	if gone := c.verified(b, q.guard); gone != nil && !errors.Is(err, kerr.InvalidProducerEpoch) {
		err = gone
	}
	if err == nil {
		err = c.install(b)
	}
	if err != nil {
		q.outcome, q.err = refused, err
		return
	}
	if b.IsTransactional() {
		c.order.dropGuard(id) // the transaction is open in the log from here on
	}
	q.outcome = accepted
}

// verified refuses a batch that would open a transaction without a guard that
// still stands (hard-07).
func (c *check) verified(b record.Batch, guard *Guard) error {
	if !b.IsTransactional() || c.open(b) {
		return nil
	}
	if standing, _ := c.order.standing(b.ProducerID(), b.ProducerEpoch()); guard == nil || standing != guard || guard.lead != c.lead {
		return fmt.Errorf("producer %d epoch %d: %w", b.ProducerID(), b.ProducerEpoch(), ErrGuardGone)
	}
	return nil
}

// open says whether the log holds an open transaction of the batch's epoch. Then
// a guard that a late copy of an earlier one left behind says nothing about it.
func (c *check) open(b record.Batch) bool {
	_, epoch, open := c.tentative.OpenTransaction(b.ProducerID())
	return open && epoch == b.ProducerEpoch()
}

// marker judges a transaction marker. One that was written before succeeds
// once the log end of this moment is committed (hard-12).
func (c *check) marker(q *proposal) {
	need, err := c.tentative.CheckMarker(*q.marker)
	c.order.dropGuard(q.marker.ProducerID)
	switch {
	case err != nil:
		q.outcome, q.err = refused, err
	case !need && !planted.Is(planted.MarkerTwice):
		q.outcome, q.last, q.reach = known, c.next-1, c.lead.group.log.LastIndex()
		if c.next > c.end {
			q.outcome = repeated
		}
	default:
		if err := c.install(q.batch()); err != nil {
			q.outcome, q.err = refused, err
			return
		}
		q.outcome = accepted
	}
}

func (c *check) install(b record.Batch) error {
	base, err := c.tentative.Install(b)
	if err == nil {
		c.next = base + int64(b.LastOffsetDelta()) + 1
	}
	return err
}
