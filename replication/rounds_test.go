package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
)

// hard-02: a command that was checked in another term, or whose round was
// given up, is stored as a void row without offset.
func TestHard02StaleCommandBecomesAVoidRow(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		g := p.group.Load()
		term := g.raft.CurrentTerm()
		stale := []command{
			{kind: log.KindBatch, term: term - 1, ticket: 1, data: plainBatch(1)},   // of an older term
			{kind: log.KindBatch, term: term, ticket: 1, data: plainBatch(1)},       // stored before
			{kind: log.KindBatch, term: term, ticket: 1 << 40, data: plainBatch(1)}, // of no round
		}
		for _, c := range stale {
			g.apply(c)
		}
		synctest.Wait()
		if p.EndOffset() != 1 || p.HighWatermark() != 1 {
			t.Errorf("log end %d, hw %d: a stale command took an offset", p.EndOffset(), p.HighWatermark())
		}
		last := g.log.LastIndex()
		for i := range uint64(len(stale)) {
			if row, err := g.log.Row(last - i); err != nil || row.Kind != log.KindVoid {
				t.Errorf("row %+v, %v, want a void row", row, err)
			}
		}
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
	})
}

// What the store cannot claim ends the round: nothing after it is stored.
func TestHard02WhatFollowsARefusedBatchIsRefused(t *testing.T) {
	var o order
	entries := []*proposal{newTestProposal(), newTestProposal(), newTestProposal()}
	o.round = &round{term: 4, first: 10, next: 10, entries: entries, left: 3}
	for i, q := range entries {
		q.phase, q.ticket = proposed, uint64(10+i)
	}
	entries[0].closes = true
	if q := o.claim(4, 10, 4); q != entries[0] {
		t.Fatal("the first is not claimed")
	}
	if q := o.claim(4, 12, 4); q != nil { // raft refused 11
		t.Error("a batch was stored without its predecessor")
	}
	if q := o.claim(4, 11, 4); q != nil {
		t.Error("a broken round goes on")
	}
	for i, q := range entries[1:] {
		if q.phase != settled || !errors.Is(q.err, kerr.NotLeaderForPartition) {
			t.Errorf("entry %d: phase %d, %v", i+1, q.phase, q.err)
		}
	}
	if o.round == nil || entries[0].ended {
		t.Error("the round ended while the store still writes for it")
	}
}

func newTestProposal() *proposal {
	return &proposal{kind: log.KindBatch, data: plainBatch(1), wake: make(chan struct{}, 1)}
}

// A batch stays exclusive to the store while that may read it: the caller's
// context ends the wait for a commit, not the store's work.
func TestCallerWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := newCluster(t, 1, Config{faulty: func(o *order) ledger { return gate{o, release} }}, 1)
		if err := c.start(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		defer c.stop(1)
		p := c.partition(1)
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error)
		go func() {
			_, err := p.Append(ctx, Append{Batch: plainBatch(1), Acks: -1})
			answered <- err
		}()
		synctest.Wait()
		queuedBehind := make(chan error)
		go func() {
			_, err := p.Append(ctx, Append{Batch: plainBatch(1), Acks: -1})
			queuedBehind <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-queuedBehind; !errors.Is(err, kerr.RequestTimedOut) || !errors.Is(err, ErrRefused) {
			t.Errorf("a queued batch: %v", err)
		}
		select {
		case err := <-answered:
			t.Errorf("answered while the store had the batch: %v", err)
		case <-time.After(time.Minute):
		}
		close(release)
		if err := <-answered; err != nil || p.EndOffset() != 1 {
			t.Errorf("%v, log end %d", err, p.EndOffset())
		}
	})
}

// gate holds the store between claiming a proposal and writing it.
type gate struct {
	ledger
	release chan struct{}
}

func (g gate) claim(term, ticket, storeTerm uint64) *proposal {
	q := g.ledger.claim(term, ticket, storeTerm)
	<-g.release
	return q
}

// hard-22b: a follower commits no entry that the request did not compare.
func TestHard22bFollowerCommitsWhatWasCompared(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		transport := p.group.Load().transport
		a := &raft.AppendEntriesRequest{PrevLogEntry: 10, Entries: []*raft.Log{{Index: 11}, {Index: 12}}, LeaderCommitIndex: 150}
		transport.limit(a)
		if a.LeaderCommitIndex != 12 || a.PrevLogEntry != 10 || len(a.Entries) != 2 {
			t.Errorf("limited to %+v", a)
		}
	})
}

// Below the boundary everything is committed, and a request is moved up to it.
func TestHard22bRequestBelowTheBoundaryIsMovedUp(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		p.SetConfig(log.Config{SegmentBytes: 1 << 10})
		for range 50 {
			mustAppend(t, p, Append{Batch: plainBatch(10), Acks: -1})
		}
		if _, err := p.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		b := p.Log().Boundary()
		if b.Index < 10 {
			t.Fatalf("boundary %+v", b)
		}
		request := func(first, last uint64) *raft.AppendEntriesRequest {
			a := &raft.AppendEntriesRequest{PrevLogEntry: first - 1, PrevLogTerm: 1, LeaderCommitIndex: 1 << 20}
			for i := first; i <= last; i++ {
				a.Entries = append(a.Entries, &raft.Log{Index: i})
			}
			p.group.Load().transport.limit(a)
			return a
		}
		a := request(b.Index-3, b.Index+2)
		if a.PrevLogEntry != b.Index || a.PrevLogTerm != b.Term || len(a.Entries) != 2 || a.Entries[0].Index != b.Index+1 || a.LeaderCommitIndex != b.Index+2 {
			t.Errorf("across the boundary: %+v", a)
		}
		if a := request(2, 5); len(a.Entries) != 0 || a.PrevLogEntry != 0 || a.LeaderCommitIndex != 0 {
			t.Errorf("wholly below: %+v", a)
		}
	})
}

// A bug in the check refuses the appends that met it, and no other.
func TestPanicOfTheCheckKeepsTheTurn(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		check := p.order.check
		p.order.check = func(*reign, []*proposal) { panic("a bug") }
		_, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: -1})
		if err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("got %v, want the panic", err)
		}
		p.order.check = check
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
	})
}
