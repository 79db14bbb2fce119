package shard

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A term is one leadership of this node, from a complete view to its end. A
// same-epoch term can follow when an append of the former ended in doubt.
type term[V View] struct {
	epoch  int32
	replay *replay[V]
	keys   keys
	over   chan struct{} // closed when the term has ended

	mu      sync.Mutex
	ended   bool
	updates sync.WaitGroup // between decide and the end of append; Add under mu while not ended
}

// enter lets an update decide and append under the term, unless it has ended.
func (t *term[V]) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return errNotCoordinator("leadership ended")
	}
	t.updates.Add(1)
	return nil
}

// end lets no more updates in and sends the waiting away.
func (t *term[V]) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		close(t.over)
	}
}

func (t *term[V]) hasEnded() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// run follows the partition until Close.
func (s *Shard[V]) run() {
	defer close(s.done)
	defer s.stop()
	var last *term[V]
	for s.ctx.Err() == nil {
		moved := s.p.Moved()
		last = s.step(last)
		var again <-chan time.Time
		if f := s.failure.Load(); f != nil && f.passes() {
			again = time.After(s.opts.Rest)
		}
		select {
		case <-moved:
		case <-again:
			continue
		case <-s.wake:
			continue
		case <-s.ctx.Done():
			return
		}
		if s.replay.Load() != nil {
			s.pause()
		}
	}
}

// pause keeps a busy partition from waking run at each commit.
func (s *Shard[V]) pause() {
	timer := time.NewTimer(s.opts.Rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	case <-s.ctx.Done():
	}
}

// stop ends the current term for good.
func (s *Shard[V]) stop() {
	if t := s.term.Load(); t != nil {
		s.unload(t)
	}
	if r := s.replay.Load(); r != nil {
		r.drop()
	}
	s.announce()
}

// step ends a term that is over, begins one if this node leads, and brings the
// view to the high watermark. It returns the newest term there was.
func (s *Shard[V]) step(last *term[V]) *term[V] {
	l := s.p.Leadership()
	if t := s.term.Load(); t != nil && (t.hasEnded() || !l.Ready || l.Epoch != t.epoch) {
		s.unload(t)
	}
	if r := s.replay.Load(); r != nil {
		if err := r.advance(s.ctx, s.p); err != nil {
			s.fail(l.Epoch, err)
			return last
		}
	}
	f := s.failure.Load()
	if s.term.Load() != nil || !l.Ready {
		if f != nil && f.passes() {
			s.failure.Store(nil)
			s.announce()
		}
		return last
	}
	if f != nil && f.epoch == l.Epoch && !f.passes() {
		return last
	}
	return s.load(last, l.Epoch)
}

// load begins a term: everything the log holds at this moment is committed and
// applied first, so nothing that an older term left in doubt can follow.
func (s *Shard[V]) load(last *term[V], epoch int32) *term[V] {
	if last != nil {
		last.updates.Wait()
	}
	if !s.settled(epoch, s.p.EndOffset()) {
		return last
	}
	began := time.Now()
	r := s.replay.Load()
	if !s.opts.Follow {
		r = newReplay(s.newView(epoch), s.p.StartOffset(), s.opts.Persist)
	}
	if err := r.advance(s.ctx, s.p); err != nil {
		s.fail(epoch, err)
		return last
	}
	if l := s.p.Leadership(); !l.Ready || l.Epoch != epoch {
		s.nudge()
		return last
	}
	t := &term[V]{epoch: epoch, replay: r, keys: keys{held: map[string]*key{}}, over: make(chan struct{})}
	r.mu.Lock()
	if s.opts.OnLoad != nil {
		s.opts.OnLoad(r.view, epoch)
	}
	r.mu.Unlock()
	s.replay.Store(r)
	s.failure.Store(nil)
	s.term.Store(t)
	s.announce()
	s.logger.Info("shard loaded", "leader_epoch", epoch, "next_offset", r.next.Load(), "took", time.Since(began))
	return t
}

// settled waits until the high watermark reaches end. It is false when the
// leadership changed before.
func (s *Shard[V]) settled(epoch int32, end int64) bool {
	for {
		moved := s.p.Moved()
		if l := s.p.Leadership(); !l.Ready || l.Epoch != epoch {
			s.nudge()
			return false
		}
		if s.p.HighWatermark() >= end {
			return true
		}
		select {
		case <-moved:
		case <-s.ctx.Done():
			return false
		}
	}
}

// unload ends a term and drops its view, unless the view follows.
func (s *Shard[V]) unload(t *term[V]) {
	t.end()
	s.term.Store(nil)
	if !s.opts.Follow {
		s.replay.Store(nil)
		t.replay.drop()
	}
	t.replay.mu.Lock()
	if s.opts.OnUnload != nil {
		s.opts.OnUnload(t.replay.view, t.epoch)
	}
	t.replay.mu.Unlock()
	s.announce()
	s.logger.Info("shard unloaded", "leader_epoch", t.epoch)
}

// fail notes why the log could not be replayed. What cannot be understood ends
// the leadership's service; a read that failed is tried again.
func (s *Shard[V]) fail(epoch int32, err error) {
	if errors.Is(err, context.Canceled) && s.ctx.Err() != nil {
		return
	}
	f := &failure{epoch: epoch, err: err}
	before := s.failure.Swap(f)
	switch {
	case !f.passes():
		if t := s.term.Load(); t != nil {
			s.unload(t)
		}
		s.logger.Error("shard cannot replay its partition; it serves again under the next leader epoch", "leader_epoch", epoch, "err", err)
	case before != nil && before.epoch == epoch && before.passes():
		return // as before
	default:
		s.logger.Warn("shard cannot read its partition; it tries again", "leader_epoch", epoch, "err", err)
	}
	s.announce()
}
