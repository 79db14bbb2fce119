package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// TestChaos runs producers of both protocols while appends fail or end in doubt,
// leaders change and markers are lost. Each producer is alone with its
// transactional id, so every transaction must end as its producer asked, with all
// of its markers, and none after the next transaction has begun.
func TestChaos(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				var producers, chaos sync.WaitGroup
				stop := make(chan struct{})
				chaos.Go(func() { disturb(w, rand.New(rand.NewPCG(seed, 0)), stop) })
				for i := range 6 {
					version := int16(4 + i%2)
					p := &chaosProducer{t: t, w: w, id: fmt.Sprint("id", i), version: version, r: rand.New(rand.NewPCG(seed, uint64(i)+1))}
					producers.Go(p.run)
				}
				producers.Wait()
				close(stop)
				chaos.Wait()
				w.markers.release()
				w.markers.fail(0)
				time.Sleep(time.Minute)
				for i := range 6 {
					if s := w.state(fmt.Sprint("id", i)); !s.settled() {
						t.Errorf("id%d is %v", i, s)
					}
				}
			})
		})
	}
}

// disturb does something bad every few milliseconds.
func disturb(w *world, r *rand.Rand, stop <-chan struct{}) {
	epoch := int32(1)
	for {
		switch r.IntN(8) {
		case 0:
			w.p.Fail(shardtest.Refused)
		case 1:
			w.p.Fail(shardtest.Lost)
		case 2:
			w.p.Fail(shardtest.Stored)
		case 3:
			w.markers.fail(r.IntN(5))
		case 4:
			w.markers.hold()
		case 5:
			w.markers.release()
		case 6:
			epoch += 2
			w.p.Lead(epoch)
		case 7:
			epoch++
			w.p.Follow(epoch)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
			epoch++
			w.p.Elect(epoch)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
			w.p.Barrier()
		}
		select {
		case <-time.After(time.Duration(r.IntN(60)) * time.Millisecond):
		case <-stop:
			return
		}
	}
}

// A chaosProducer ends 30 transactions, one after the other.
type chaosProducer struct {
	t       *testing.T
	w       *world
	id      string
	version int16 // of EndTxn
	r       *rand.Rand
	p       ProducerIDAndEpoch
}

func (c *chaosProducer) run() {
	c.retry("init", func() (err error) {
		c.p, err = c.w.c.InitProducerID(c.t.Context(), InitProducerIDRequest{c.id, time.Minute, NoProducerID, NoProducerEpoch, 5})
		return err
	})
	for n := 0; n < 30 && !c.t.Failed(); n++ {
		parts := []Participant{{Topic: c.id, Partition: 0}, {Topic: c.id, Partition: 1}}[:1+c.r.IntN(2)]
		c.retry("add", func() error { return c.add(parts) })
		before := c.markers()
		time.Sleep(time.Duration(c.r.IntN(10)) * time.Millisecond)
		if late := c.markers()[len(before):]; len(late) > 0 {
			c.t.Errorf("%s: markers in the next transaction: %v", c.id, late)
		}
		commit := c.r.IntN(3) > 0
		next := noProducer
		c.retry("end", func() (err error) {
			next, err = c.w.end(c.id, c.p, commit, c.version)
			return err
		})
		stamp := c.p
		if c.version >= 5 {
			c.p = next
			stamp.Epoch++
		}
		// Asked again and again until the next transaction may begin.
		c.retry("add", func() error { return c.add(parts[:1]) })
		c.check(c.markers()[len(before):], parts, stamp, commit)
		c.retry("end", func() (err error) {
			next, err = c.w.end(c.id, c.p, false, c.version)
			return err
		})
		if c.version >= 5 {
			c.p = next
		}
	}
}

func (c *chaosProducer) add(parts []Participant) error {
	if c.version < 5 {
		return c.w.add(c.id, c.p, parts...)
	}
	return errors.Join(c.w.c.Ensure(c.t.Context(), EnsureRequest{c.id, c.p.ID, c.p.Epoch, parts, kmsg.TxnOffsetCommit, 5})...)
}

// retry repeats a request while the answer allows it.
func (c *chaosProducer) retry(what string, do func() error) {
	for range 10_000 {
		err := do()
		if err == nil {
			return
		}
		retriable := false
		for _, code := range []error{kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable} {
			retriable = retriable || errors.Is(err, code)
		}
		if !retriable {
			c.t.Errorf("%s: %s by %v: %v", c.id, what, c.p, err)
			return
		}
		time.Sleep(time.Duration(1+c.r.IntN(5)) * time.Millisecond)
	}
	c.t.Errorf("%s: %s never succeeds", c.id, what)
}

// markers are those that were written for the transactional id.
func (c *chaosProducer) markers() []Marker {
	c.w.markers.mu.Lock()
	defer c.w.markers.mu.Unlock()
	var own []Marker
	for _, m := range c.w.markers.written {
		if m.Topic == c.id {
			own = append(own, m)
		}
	}
	return own
}

// check wants a marker for every participant, all alike.
func (c *chaosProducer) check(written []Marker, parts []Participant, stamp ProducerIDAndEpoch, commit bool) {
	missing := map[Participant]bool{}
	for _, p := range parts {
		missing[p] = true
	}
	for _, m := range written {
		delete(missing, m.Participant)
		if m.ProducerID != stamp.ID || m.ProducerEpoch != stamp.Epoch || m.Commit != commit {
			c.t.Errorf("%s: marker %+v, want %v commit %v", c.id, m, stamp, commit)
		}
	}
	if len(missing) > 0 {
		c.t.Errorf("%s: no marker for %v of %v", c.id, missing, stamp)
	}
}

// A completion that cannot be stored is tried until it can.
func TestCompletionIsRetried(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		p := w.init("a")
		if err := w.add("a", p, orders(0)); err != nil {
			t.Fatal(err)
		}
		w.markers.hold()
		if _, err := w.end("a", p, commit, 4); err != nil {
			t.Fatal(err)
		}
		w.p.Fail(shardtest.Refused, shardtest.Refused)
		w.markers.release()
		synctest.Wait()
		if s := w.state("a"); s != PrepareCommit {
			t.Errorf("state %v", s)
		}
		time.Sleep(time.Second)
		if s := w.state("a"); s != CompleteCommit {
			t.Errorf("state %v", s)
		}
	})
}
