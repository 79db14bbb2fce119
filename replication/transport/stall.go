package transport

import (
	"runtime"
	"sync"
	"time"
)

// stalls are the times in which this process did not run: it was stopped, or
// others had the processors. What came in meanwhile lies unread, so the silence of
// others tells nothing of them. Only who is dead follows from it, never who may go
// on leading (hard-24).
//
// The mesh's pulse ends them. One that is late stands in a stall already: who
// asks may run before it does.
type stalls struct {
	mu     sync.Mutex
	due    time.Time // when the pulse is to beat, or should have; zero: not begun
	past   [maxStalls]stall
	oldest int // in past
}

type stall struct{ from, to time.Time }

// maxStalls is how many are known. The pulse of 250 ms fills them in no less than
// 16 s, and nobody is silent for longer before it counts.
const maxStalls = 64

// handOvers is how often a ping and its answer wait in this process until a
// processor takes up what came from the network. Those who wait for a time are
// served before, so that the pulse is on time does not say that the process is.
const handOvers = 2

// pulse asks the peers at every interval whether they are there, and judges what
// they answered. How late it is tells what of their silence is this node's own.
func (m *Mesh) pulse() {
	interval := m.cfg.PingInterval
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		m.stalls.expect(time.Now().Add(interval))
		select {
		case <-ticker.C:
		case <-m.ctx.Done():
			return
		}
		m.stalls.expect(time.Now())
		for range handOvers {
			runtime.Gosched()
		}
		m.stalls.beat(time.Now(), interval)
		for _, p := range m.Peers() {
			p.judge()
			p.pingOnce()
		}
	}
}

// own is how much of the silence of others, over a time up to now, is this node's.
func (m *Mesh) own(age time.Duration) time.Duration {
	if age < m.cfg.DeadAfter {
		return 0 // nobody minds it yet
	}
	return m.stalls.within(age, time.Now())
}

// expect says when the pulse is to beat at the latest.
func (s *stalls) expect(due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due.IsZero() || due.Before(s.due) {
		s.due = due
	}
}

// beat ends the wait for the pulse. What it is late by is a stall, if it is more
// than the tenth of an interval.
func (s *stalls) beat(now time.Time, interval time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.due) > interval/10 {
		s.past[s.oldest] = stall{s.due, now}
		s.oldest = (s.oldest + 1) % maxStalls
	}
	s.due = time.Time{}
}

// within is how much of the time up to now was a stall.
func (s *stalls) within(age time.Duration, now time.Time) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := now.Add(-age)
	for _, one := range s.past {
		if one.from.Before(from) {
			one.from = from
		}
		sum += max(0, one.to.Sub(one.from))
	}
	if s.due.IsZero() {
		return sum
	}
	return sum + max(0, min(now.Sub(s.due), age))
}
