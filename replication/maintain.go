package replication

import (
	"context"
	"time"

	"github.com/oncelog/oncelog/log"
)

// startMaintenance starts a task for each kind of work that falls due: retention,
// compaction, expiry of producers, flushes by interval. None waits for another:
// a long compaction must not hold up what bounds the loss of a power cut.
func (n *Node) startMaintenance(ctx context.Context) {
	every := func(interval time.Duration, work func(*Partition, context.Context)) {
		n.tasks.Go(func() { n.maintain(ctx, interval, nil, work) })
	}
	every(n.cfg.RetentionCheckInterval, (*Partition).retain)
	n.tasks.Go(func() { n.maintain(ctx, n.cfg.CleanerBackoff, n.cleanerBackoff, (*Partition).compact) })
	every(n.cfg.ProducerExpiryInterval, (*Partition).expire)
	if n.cfg.Fsync == FsyncInterval {
		every(n.cfg.FsyncInterval, (*Partition).flush)
	}
}

// SetCleanerBackoff changes log.cleaner.backoff.ms; it counts from now on.
func (n *Node) SetCleanerBackoff(d time.Duration) {
	for {
		select {
		case n.cleanerBackoff <- d:
			return
		case <-n.cleanerBackoff: // nobody took note of the last change
		}
	}
}

// maintain does one kind of work every interval, one partition at a time, until
// ctx ends. changed brings a new interval.
func (n *Node) maintain(ctx context.Context, interval time.Duration, changed <-chan time.Duration, work func(*Partition, context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case interval = <-changed:
			ticker.Reset(interval)
			continue
		case <-ticker.C:
		}
		for _, p := range n.all() {
			if ctx.Err() != nil {
				return
			}
			work(p, ctx)
		}
	}
}

// maintenanceTimeout bounds the wait for one partition's log start to commit.
const maintenanceTimeout = 30 * time.Second

// retain proposes the log start that retention asks for. Only the leader does;
// every replica then deletes its own segments (hard-33).
func (p *Partition) retain(ctx context.Context) {
	if !p.Leadership().Ready {
		return
	}
	offset, ok := p.Log().RetentionStart(time.Now(), p.HighWatermark())
	if !ok || offset <= p.StartOffset() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()
	if err := p.raiseStart(ctx, offset); err != nil {
		p.logger.Warn("retention did not raise the log start", "offset", offset, "error", err)
		return
	}
	p.logger.Info("retention raised the log start", "offset", p.StartOffset())
}

// compact rewrites what is dirty enough. It is local to each replica, and waits
// while a follower brings the files of the last one to its node.
func (p *Partition) compact(ctx context.Context) {
	l := p.Log()
	if !l.Config().CleanupCompact || p.givesPieces() {
		return
	}
	v := p.order.view.Load()
	limits := log.CompactLimits{
		HighWatermark:    v.highWatermark,
		LastStableOffset: v.lastStable,
		Applied:          p.group.Load().store.applied.Load(),
		Now:              time.Now(),
	}
	if row, err := l.Row(p.lowestMatch()); err == nil && v.leadership.Ready {
		limits.MinMatch = row.NextOffset()
	}
	done, err := l.Compact(ctx, limits)
	switch {
	case err != nil && ctx.Err() == nil:
		p.logger.Warn("compaction failed", "error", err)
	case done.Ran:
		p.logger.Info("compacted", "up_to", done.UpTo, "bytes_before", done.BytesBefore, "bytes_after", done.BytesAfter)
	}
}

// expire forgets producers and guards that are long idle (hard-09).
func (p *Partition) expire(context.Context) {
	now := time.Now()
	p.order.expireGuards(now.Add(-p.node.cfg.ProducerExpiryInterval))
	if n := p.Log().ExpireProducers(now); n > 0 {
		p.logger.Debug("producers expired", "count", n)
	}
}

// flush syncs what was appended since the last time.
func (p *Partition) flush(context.Context) {
	g := p.group.Load()
	if err := g.log.Sync(); err != nil {
		g.store.broken(err)
	}
}

// configure takes settings into use that are replication's own. A topic with
// flush.ms gets a task that syncs its log.
func (p *Partition) configure(c log.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.config.Swap(&c).FlushInterval
	switch {
	case p.flushing && before != c.FlushInterval:
		select {
		case p.reflush <- struct{}{}:
		default: // it has not taken note of the last change
		}
	case c.FlushInterval > 0 && !p.flushing && !p.closed:
		p.flushing = true
		p.tasks.Go(p.flushEvery)
	}
}

// flushEvery syncs the log every flush.ms for as long as the topic has one. A
// change of it counts from the change on.
func (p *Partition) flushEvery() {
	for {
		every, ok := p.flushInterval()
		if !ok {
			return
		}
		select {
		case <-time.After(every):
			p.flush(context.Background())
		case <-p.reflush:
		case <-p.closing:
			return
		}
	}
}

// flushInterval is the topic's flush.ms; without one the task ends.
func (p *Partition) flushInterval() (every time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	every = p.config.Load().FlushInterval
	p.flushing = every > 0
	return every, p.flushing
}
