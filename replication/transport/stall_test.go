package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol/memnet"
)

func TestStallsAreSummed(t *testing.T) {
	const interval = 250 * time.Millisecond
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	type beat struct{ due, at int } // in ms
	for _, c := range []struct {
		name      string
		beats     []beat
		due       int // of the next, 0: none
		age, want int // at 10 s
	}{
		{"a pulse on time is no stall", []beat{{9000, 9000}, {9250, 9250}, {9500, 9500}}, 10100, 1000, 0},
		{"a little late is none", []beat{{9000, 9025}, {9275, 9300}}, 10100, 1000, 0},
		{"one that is over counts", []beat{{9200, 9600}}, 10100, 1000, 400},
		{"several add up", []beat{{9000, 9300}, {9500, 9800}}, 10100, 1000, 600},
		{"one that is not over counts", []beat{{7750, 7750}}, 8000, 2500, 2000},
		{"that and an earlier one add up", []beat{{9000, 9300}}, 9400, 1000, 900},
		{"what was before the silence does not count", []beat{{7000, 8500}}, 10100, 1000, 0},
		{"what began before it counts in part", []beat{{8000, 9200}}, 10100, 1000, 200},
		{"no more than the silence itself counts", []beat{{2000, 2000}}, 2250, 1000, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s stalls
			for _, b := range c.beats {
				s.expect(at(b.due))
				s.expect(at(b.at)) // it runs, and the hand-overs begin
				s.beat(at(b.at), interval)
			}
			if c.due > 0 {
				s.expect(at(c.due))
			}
			if got, want := s.within(time.Duration(c.age)*time.Millisecond, at(10_000)), time.Duration(c.want)*time.Millisecond; got != want {
				t.Errorf("stalls of the last %d ms sum to %v, want %v", c.age, got, want)
			}
		})
	}
}

// Only the newest are kept, which reach back farther than anybody is judged by.
func TestOldStallsAreForgotten(t *testing.T) {
	var s stalls
	now := time.Now()
	for range 3 * maxStalls {
		s.expect(now)
		now = now.Add(time.Second)
		s.beat(now, time.Millisecond)
	}
	if got, want := s.within(time.Hour, now), maxStalls*time.Second; got != want {
		t.Errorf("stalls sum to %v, want %v", got, want)
	}
}

// hard-24, hard-25: a node that did not run gives nobody up for it, also when it
// is asked before its pulse has found out. Its own leaders are fenced all the same:
// the others may have given it up.
func TestStalledNodeGivesNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		one, two := start(t, network, 1, nil), start(t, network, 2, nil)
		join(t, one, two)
		peer := one.Peer(2)
		time.Sleep(5*time.Second + one.cfg.PingInterval/2) // between two pings
		for len(one.changes) > 0 {
			<-one.changes
		}
		stall := func() { // as if the pulse were late since 2 s, and nothing had been read meanwhile
			one.stalls.mu.Lock()
			one.stalls.due = time.Now().Add(-2 * time.Second)
			one.stalls.mu.Unlock()
			peer.contact.Store(int64(time.Since(one.began) - 2200*time.Millisecond))
		}
		stall()
		if peer.judge(); !peer.Alive() {
			t.Error("a node that stands still gives another up")
		}
		if peer.Near() {
			t.Error("a node that stands still takes it that another hears it")
		}
		one.stalls.beat(time.Now(), one.cfg.PingInterval)
		if peer.judge(); !peer.Alive() || peer.Near() {
			t.Errorf("after a stall a peer is alive: %v, near: %v; want true and false until it answers", peer.Alive(), peer.Near())
		}
		if !peer.Resumed().IsZero() {
			t.Error("a peer counts as having answered again before it has")
		}
		time.Sleep(one.cfg.PingInterval)
		if !peer.Near() || peer.Resumed().IsZero() {
			t.Errorf("when it answered, a peer is near: %v, resumed at %v; want true and a time", peer.Near(), peer.Resumed())
		}
		if len(one.changes) > 0 {
			t.Error("the stall was told as a change")
		}
		time.Sleep(5 * time.Second)
		network.Cut(hostOf(2), hostOf(1))
		stall()
		cut := time.Now()
		for peer.Alive() {
			<-one.changes
		}
		if took := time.Since(cut); took < 700*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("a peer that is silent after a stall was given up %v after it, want about 1s as any other", took)
		}
	})
}
