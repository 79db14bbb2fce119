package verify

import (
	"context"
	"sync"
	"time"
)

// A Tally counts what the clients achieved so far.
type Tally struct {
	Events      int
	Acked       int // records
	Ended       int // transactions, of which it is known how they ended
	Transformed int // records that pipelines made, as a reader of committed data was given them
	Read        int // by readers that follow, control records included
	ReadStable  int // by those of committed data
	Positions   int // commits of groups without a transaction
	Waiting     int // partitions that producers wrote to, where nothing was acknowledged since all was well again
	Piped       int // likewise, those that pipelines wrote to: they wait for their groups too
}

// A Recorder collects the history of a run. Its methods may be called from any
// goroutine.
type Recorder struct {
	began time.Time

	mu      sync.Mutex
	history History
	tally   Tally
	written map[partition]writtenTo
	waiters map[*waiter]struct{}
}

// A writtenTo is a partition that was written to.
type writtenTo struct{ piped, served bool }

// A waiter waits for a tally.
type waiter struct {
	cond func(Tally) bool
	done chan struct{}
}

// NewRecorder begins a history.
func NewRecorder() *Recorder {
	return &Recorder{began: time.Now(), written: make(map[partition]writtenTo), waiters: make(map[*waiter]struct{})}
}

// Add appends an event and sets its time.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = time.Since(r.began)
	r.history = append(r.history, e)
	r.count(&e)
	for w := range r.waiters {
		if w.cond(r.tally) {
			delete(r.waiters, w)
			close(w.done)
		}
	}
}

func (r *Recorder) count(e *Event) {
	r.tally.Events++
	switch e.Kind {
	case Send:
		if _, known := r.written[e.partition()]; !known {
			r.wait(e.partition(), writtenTo{piped: e.Source != ""}, 1)
		}
	case Ack:
		r.tally.Acked++
		if w := r.written[e.partition()]; !w.served {
			r.wait(e.partition(), writtenTo{w.piped, true}, -1)
		}
	case Healed:
		for p, w := range r.written {
			if w.served {
				r.wait(p, writtenTo{piped: w.piped}, 1)
			}
		}
	case Ended:
		r.tally.Ended++
	case Read:
		r.tally.Read++
		if e.Stable {
			r.tally.ReadStable++
			if e.Source != "" {
				r.tally.Transformed++
			}
		}
	case Committed:
		r.tally.Positions++
	}
}

// wait notes what is known of a partition, and counts it among those that wait, or
// no longer.
func (r *Recorder) wait(p partition, w writtenTo, by int) {
	r.written[p] = w
	if w.piped {
		r.tally.Piped += by
	} else {
		r.tally.Waiting += by
	}
}

// Now is what an answer to a request that is sent now has as its Since.
func (r *Recorder) Now() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.history)
}

// Tally returns what was achieved so far.
func (r *Recorder) Tally() Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally
}

// Await waits until cond holds. It is asked at every event and must not call
// the recorder.
func (r *Recorder) Await(ctx context.Context, cond func(Tally) bool) error {
	w := &waiter{cond, make(chan struct{})}
	r.mu.Lock()
	if cond(r.tally) {
		r.mu.Unlock()
		return nil
	}
	r.waiters[w] = struct{}{}
	r.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		delete(r.waiters, w)
		r.mu.Unlock()
		return context.Cause(ctx)
	}
}

// History returns the events up to now.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history[:len(r.history):len(r.history)]
}
