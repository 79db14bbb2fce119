package replication

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/oncelog/oncelog/log"
)

// How long an offline partition waits before its log is opened again.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// folder is where a partition's files are.
func (n *Node) folder(id PartitionID) string { return filepath.Join(n.cfg.Dir, id.String()) }

// start opens the log and starts its group. An only voter is elected at once; of
// several the detector has one stand once a majority is there to vote.
func (p *Partition) start() error {
	g, err := p.openGroup()
	if err != nil {
		return err
	}
	p.adopt(g)
	return nil
}

// adopt makes a started group the partition's own.
func (p *Partition) adopt(g *group) {
	p.order.enter(g)
	p.group.Store(g)
	g.log.SetConfig(*p.config.Load()) // it may have changed since the log was opened
	if g.store.sole.Load() {
		g.transport.kick()
	}
}

func (p *Partition) openGroup() (*group, error) {
	v, err := p.node.slots.claim(p.id)
	if err != nil {
		return nil, err
	}
	if err := p.regenerate(v); err != nil {
		return nil, err
	}
	l, err := p.openLog()
	if err != nil {
		return nil, err
	}
	if l.LastIndex() == 0 && !p.joins {
		if err := bootstrap(l, p.voters); err != nil {
			return nil, errors.Join(fmt.Errorf("bootstrap %v: %w", p.id, err), l.Close())
		}
	}
	if err := p.checkTerm(v, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	g, err := startGroup(p, l, v)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return g, nil
}

func (p *Partition) openLog() (*log.Log, error) {
	l, err := log.Open(p.dir, *p.config.Load(), log.Options{FS: p.node.cfg.FS, Logger: p.logger})
	if err != nil {
		return nil, fmt.Errorf("open log of %v: %w", p.id, err)
	}
	return l, nil
}

// checkTerm compares the term of the slot with the log. A term is stored before
// anything is, so a log of a newer one says that the slot file was damaged. An
// only voter goes on from the log's term: nobody else has voted.
func (p *Partition) checkTerm(v *slot, l *log.Log) error {
	term := max(v.value.term, 1)
	if l.LastTerm() <= term {
		return nil
	}
	members, err := membersIn(l)
	if err != nil {
		return fmt.Errorf("members of %v: %w", p.id, err)
	}
	if !onlyVoter(members, p.node.cfg.NodeID) {
		return fmt.Errorf("%s knows term %d of %v, its log has entries of term %d: the file is damaged and votes may be lost", slotFileName, term, p.id, l.LastTerm())
	}
	p.logger.Warn("slot file was damaged; the term follows from the log", "file", slotFileName, "term", term, "log_term", l.LastTerm())
	return p.node.slots.put(v, ballot{term: l.LastTerm(), generation: v.value.generation})
}

// offline ends a group whose disk failed and sees to it that another is
// started once the disk is back. Raft's goroutines call it, so it
// only hands the work over.
func (p *Partition) offline(g *group, cause error) {
	if !p.order.leave(g, storageError(cause), g.store.sole.Load()) {
		return // not the partition's group yet, or no longer
	}
	p.logger.Error("partition offline", "error", cause)
	p.task(func() { p.recover(g, p.nextBackoff()) })
}

// renew starts raft anew on the same log, which a snapshot has just replaced.
func (p *Partition) renew(g *group) {
	if p.order.leave(g, errRenewed, false) {
		p.task(func() { p.recover(g, 0) })
	}
}

// task runs f in the background until the partition closes.
func (p *Partition) task(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Go(f)
	}
}

// recover opens the log again until that works, first after a wait. Until then
// the old one serves reads. Readers that meet the moment of the change see
// log.ErrClosed.
func (p *Partition) recover(g *group, wait time.Duration) {
	if err := g.stop(); err != nil {
		p.logger.Error("raft did not stop", "error", err)
	}
	for {
		select {
		case <-time.After(wait):
		case <-p.closing:
			return
		}
		if err := g.closeLog(); err != nil {
			p.logger.Warn("log of an offline partition did not close", "error", err)
		}
		next, err := p.openGroup()
		if err == nil {
			p.logger.Info("partition online")
			p.adopt(next)
			return
		}
		p.logger.Warn("partition stays offline", "error", err)
		wait = p.nextBackoff()
	}
}

// nextBackoff doubles from failure to failure and starts anew after a minute
// without one.
func (p *Partition) nextBackoff() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.failed) > time.Minute {
		p.backoff = minBackoff
	} else {
		p.backoff = min(2*p.backoff, maxBackoff)
	}
	p.failed = now
	return p.backoff
}

// close stops the partition: what is under way is answered, raft stops, the
// log is closed, or removed. What ctx does not leave time for is refused.
func (p *Partition) close(ctx context.Context, remove bool) error {
	p.order.drain(ctx)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.closing)
	p.tasks.Wait()
	g := p.group.Load()
	p.order.shut(g)
	err := g.stop()
	if remove {
		return errors.Join(err, g.log.Remove())
	}
	return errors.Join(err, g.closeLog())
}
