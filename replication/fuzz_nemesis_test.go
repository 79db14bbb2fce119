package replication

import (
	"context"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

// temper gives the bubble its own pace: a network with or without delay, a
// store that is quick or lets proposals queue up before it.
func (f *fuzz) temper(faulty func(*order) ledger) {
	f.delay.Store(int64(f.intn(2) * f.intn(2000)))
	slow := f.intn(2) == 0
	f.cfg.faulty = func(o *order) ledger {
		var l ledger = o
		if faulty != nil {
			l = faulty(o)
		}
		return pacedLedger{l, o, f, slow}
	}
}

// keepLittle has retention delete all but the newest segments, so that who was
// away finds the leader's boundary behind what it has.
func (f *fuzz) keepLittle() {
	f.spec.Log.SegmentBytes, f.spec.Log.RetentionBytes = 1<<10, int64(1+f.intn(8))<<10
	f.cfg.RetentionCheckInterval = time.Duration(20+f.intn(200)) * time.Millisecond
}

// pacedLedger makes raft's goroutine dawdle before it stores a proposal, and
// lets a kick come just then, with the rest of the round still in raft's queue.
type pacedLedger struct {
	ledger
	o    *order
	f    *fuzz
	slow bool
}

func (l pacedLedger) claim(term, ticket, storeTerm uint64) *proposal {
	ambushed := l.f.ambush.CompareAndSwap(true, false)
	if l.slow && l.f.chance(2) {
		time.Sleep(time.Duration(l.f.intn(30)) * time.Millisecond)
	}
	if ambushed {
		l.f.kick(l.o.p.node.cfg.NodeID)
	}
	return l.ledger.claim(term, ticket, storeTerm)
}

// nemesis does its worst for a while.
func (f *fuzz) nemesis() {
	f.kick(1)
	for range 40 {
		time.Sleep(time.Duration(f.intn(150)) * time.Millisecond)
		id := f.anyone()
		switch f.intn(10) {
		case 0, 1, 2, 3:
			f.count.kicks++
			f.kick(id)
		case 4, 5:
			f.isolate(id)
		case 6:
			f.transfer(id)
		case 7:
			f.breakDisk(id)
		case 8:
			f.reopen(id)
		case 9:
			f.ambushLeader()
		}
	}
}

// isolate cuts a node off in one direction or both, and has another elected.
func (f *fuzz) isolate(id int32) {
	f.count.cuts++
	way := f.intn(3)
	for _, other := range f.members {
		if other != id {
			f.setCut(id, other, way != 1)
			f.setCut(other, id, way != 2)
		}
	}
	time.Sleep(time.Duration(f.intn(200)) * time.Millisecond)
	f.kick(f.anyone())
	time.Sleep(time.Duration(f.intn(300)) * time.Millisecond)
	if f.chance(10) {
		time.Sleep(7 * time.Second) // longer than the lease
	}
	f.heal()
}

func (f *fuzz) transfer(to int32) {
	if p := f.leader(); p != nil && p.node.cfg.NodeID != to {
		ctx, cancel := context.WithTimeout(f.ctx, 2*time.Second)
		defer cancel()
		if err := p.Transfer(ctx, to); err == nil {
			f.count.transfers++
		}
	}
}

// breakDisk lets some writes, syncs or truncations of a node fail.
func (f *fuzz) breakDisk(id int32) {
	f.count.diskErrors++
	rule := vfs.Rule{
		Op: []vfs.Op{vfs.OpWrite, vfs.OpWrite, vfs.OpSync, vfs.OpTruncate}[f.intn(4)], After: f.intn(10), Times: f.intn(4),
		Error: vfs.ENOSPC, Short: f.intn(100),
	}
	f.disk[id].SetRules(rule)
	time.Sleep(time.Duration(f.intn(300)) * time.Millisecond)
	if f.chance(50) {
		f.kick(f.anyone())
	}
	time.Sleep(time.Duration(f.intn(300)) * time.Millisecond)
	f.disk[id].SetRules()
}

// reopen closes a node and opens it again; with fsync=always it loses power instead.
func (f *fuzz) reopen(id int32) {
	f.count.reopened++
	if f.cfg.Fsync == FsyncAlways {
		f.mem[id].Crash([]vfs.CrashMode{vfs.Lost, vfs.Partly, vfs.Torn}[f.intn(3)], f.seed)
		f.count.powerCuts++
	}
	f.stop(id)
	time.Sleep(time.Duration(f.intn(200)) * time.Millisecond)
	if f.chance(70) {
		f.kick(f.anyone())
	}
	if err := f.start(id); err != nil && !isDiskError(err) {
		f.violation("node %d does not start: %v", id, err)
	}
}

// ambushLeader has whoever leads kicked while it stores, so that the rest of a
// round waits in raft's queue for the end of its term (hard-02).
func (f *fuzz) ambushLeader() {
	f.count.kicks++
	f.ambush.Store(true)
	time.Sleep(time.Duration(f.intn(100)) * time.Millisecond)
}
