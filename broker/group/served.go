package group

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

// load begins to coordinate: everybody who was a member gets a fresh session.
// It runs under the view lock.
func (s *served) load(v *view, epoch int32) {
	v.live = true
	now := time.Now()
	members := 0
	for _, g := range v.groups {
		if v.forgetVacant(g) {
			continue
		}
		t := turn{g, &s.c.config, now}
		t.each(t.touch)
		members += len(g.members)
		if len(g.members) > s.c.config.MaxSize {
			t.prepareRebalance("the group has more members than group.max.size")
		}
		s.arm(v, g, now)
	}
	level := slog.LevelInfo
	if len(v.groups) == 0 {
		level = slog.LevelDebug // most of the partitions of a small cluster
	}
	s.c.logger.Log(context.Background(), level, "group coordinator loaded", "partition", s.index, "leader_epoch", epoch,
		"groups", len(v.groups), "members", members, "unknown_records", v.unknown)
	if s.c.begin() {
		go func() {
			defer s.c.work.Done()
			s.logged(s.cleanTopics(s.c.ctx))
		}()
	}
}

// unload ends it. It runs under the view lock.
func (s *served) unload(v *view, epoch int32) {
	v.live = false
	close(v.gone)
	for _, g := range v.groups {
		if g.timer != nil {
			g.timer.Stop()
		}
	}
	s.c.logger.Debug("group coordinator unloaded", "partition", s.index, "leader_epoch", epoch)
}

// take takes a turn of a group and then stores what the turn wants stored. A
// group that does not exist is made if create says so. The returned channel is
// closed when this node coordinates the group no more.
//
// Errors: GroupIDNotFound, and those of the shard.
func (s *served) take(ctx context.Context, id string, create bool, step func(turn) *store) (gone <-chan struct{}, err error) {
	var at *view
	var next *store
	err = s.shard.View(ctx, func(v *view) {
		now := time.Now()
		g, known := v.groups[id]
		if !known {
			if !create {
				return
			}
			g = newGroup(id, now.UnixMilli())
			v.groups[id] = g
		}
		at, next = v, step(turn{g, &s.c.config, now})
		s.arm(v, g, now)
		if !known {
			v.forgetVacant(g) // the join was refused
		}
	})
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, kerr.GroupIDNotFound
	}
	s.store(at, id, next)
	return at.gone, nil
}

// store appends what turns want stored, until they want nothing more. It does
// not depend on a client's context: a client that goes away has still joined.
func (s *served) store(at *view, id string, next *store) {
	for next != nil {
		next = s.storeOne(at, id, next)
	}
}

func (s *served) storeOne(at *view, id string, st *store) (next *store) {
	ctx, cancel := context.WithTimeout(s.c.ctx, s.c.config.OffsetCommitTimeout)
	defer cancel()
	_, failed := s.shard.Update(ctx, id, func(v *view, _ int32) (shard.Write, error) {
		now := time.Now()
		g := v.groups[id]
		if v != at || g == nil || (turn{g, &s.c.config, now}).stale(st) {
			return shard.Write{}, nil
		}
		value := turn{g, &s.c.config, now}.value(st)
		return shard.Write{Records: []record.Record{metadataRecord(id, value, now)}}, nil
	})
	served := s.whileServed(at, func(v *view) {
		now := time.Now()
		if g := v.groups[id]; g != nil {
			next = turn{g, &s.c.config, now}.stored(st, failed)
			s.arm(v, g, now)
		}
	})
	if failed != nil && served { // otherwise whoever waits knows
		s.c.logger.Warn("group metadata could not be stored", "group", id, "generation", st.generation, "err", failed)
	}
	return next
}

// arm sets the group's timer to its next deadline. It runs under the view lock.
func (s *served) arm(v *view, g *group, now time.Time) {
	if g.wake.IsZero() || !g.armed.IsZero() && !g.wake.Before(g.armed) {
		return
	}
	g.armed = g.wake
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer = time.AfterFunc(g.wake.Sub(now), func() { s.fire(v, g) })
}

// fire handles the deadlines of a group that have passed.
func (s *served) fire(at *view, g *group) {
	if !s.c.begin() {
		return
	}
	defer s.c.work.Done()
	var next *store
	s.whileServed(at, func(v *view) {
		if v.groups[g.id] != g {
			return
		}
		now := time.Now()
		g.armed = time.Time{}
		next = turn{g, &s.c.config, now}.expire()
		s.arm(v, g, now)
	})
	s.store(at, g.id, next)
}

// viewRetry is how soon a look at the view that failed is tried again.
const viewRetry = 250 * time.Millisecond

// whileServed runs fn under the view lock, as often as it takes to get there. It
// is false, and fn did not run, when this node coordinates by that view no more:
// the next coordinator starts fresh sessions.
func (s *served) whileServed(at *view, fn func(v *view)) bool {
	for {
		found := false
		err := s.shard.View(s.c.ctx, func(v *view) {
			if found = v == at; found {
				fn(v)
			}
		})
		if err == nil {
			return found
		}
		select {
		case <-at.gone:
			return false
		case <-s.c.ctx.Done():
			return false
		case <-time.After(viewRetry):
		}
	}
}
