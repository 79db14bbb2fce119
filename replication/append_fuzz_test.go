package replication

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

var (
	fuzzLeaderships = flag.Int("leaderships", 0, "run the append fuzz until there were this many leaderships")
	fuzzSeed        = flag.Uint64("seed", 0, "run the append fuzz with this seed only")
)

// soloEvery is how often a bubble has one voter instead of three.
const soloEvery = 5

// fuzzTime is how long the append fuzz runs: 60 s in CI, a few otherwise.
func fuzzTime() time.Duration {
	if s, err := strconv.Atoi(os.Getenv("ONCELOG_FUZZ_SECONDS")); err == nil {
		return time.Duration(s) * time.Second
	}
	return 5 * time.Second
}

// TestAppendFuzz is the judge of hard-01, hard-02, hard-04 and promise 5: three
// replicas, idempotent producers with five batches in flight, and everything
// that may happen to them.
func TestAppendFuzz(t *testing.T) {
	if *fuzzSeed != 0 {
		t.Log(runFuzz(t, *fuzzSeed, nil))
		return
	}
	start, seed := time.Now(), uint64(time.Now().UnixNano())
	var total fuzzCount
	for bubbles := 0; ; bubbles++ {
		if *fuzzLeaderships > 0 && total.leaderships >= *fuzzLeaderships || *fuzzLeaderships == 0 && time.Since(start) > fuzzTime() || t.Failed() {
			t.Logf("%d bubbles: %v", bubbles, total)
			return
		}
		total.add(runFuzz(t, seed+uint64(bubbles), nil))
	}
}

type fuzzCount struct{ leaderships, acked, duplicates, kicks, cuts, transfers, diskErrors, reopened, powerCuts int }

func (c *fuzzCount) add(o fuzzCount) {
	c.leaderships += o.leaderships
	c.acked += o.acked
	c.duplicates += o.duplicates
	c.kicks += o.kicks
	c.cuts += o.cuts
	c.transfers += o.transfers
	c.diskErrors += o.diskErrors
	c.reopened += o.reopened
	c.powerCuts += o.powerCuts
}

func (c fuzzCount) String() string {
	return fmt.Sprintf("leaderships %d, batches acked %d, duplicates %d, kicks %d, cuts %d, transfers %d, disk errors %d, reopened %d (%d after a power cut)",
		c.leaderships, c.acked, c.duplicates, c.kicks, c.cuts, c.transfers, c.diskErrors, c.reopened, c.powerCuts)
}

// A fuzz is one bubble of the judge.
type fuzz struct {
	*cluster
	seed uint64
	ctx  context.Context // ends when the nemesis does
	over chan struct{}   // closed when a producer that is stuck must give up

	said   lastLines   // what the nodes logged
	ambush atomic.Bool // the next proposal to be stored meets a kick

	mu         sync.Mutex
	count      fuzzCount
	epochs     map[int32]bool
	acked      map[ackKey]ackedBatch
	seen       map[int64]uint32 // offset of a batch that was committed -> CRC
	violations []string
}

// lastLines keeps the last lines about partitions that a logger wrote.
type lastLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(string(b), "msg=raft") {
		l.lines = append(l.lines[max(0, len(l.lines)-9):], string(b))
	}
	return len(b), nil
}

type ackKey struct {
	producer int64
	sequence int32
}

type ackedBatch struct {
	offset int64
	crc    uint32
}

func (f *fuzz) violation(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.violations) < 10 {
		f.violations = append(f.violations, fmt.Sprintf(format, args...))
	}
}

// runFuzz runs one bubble, in which nothing may be violated.
func runFuzz(t *testing.T, seed uint64, faulty func(*order) ledger) fuzzCount {
	count, violations := fuzzBubble(t, seed, faulty)
	if len(violations) > 0 {
		t.Errorf("seed %d:\n%s", seed, strings.Join(violations, "\n"))
	}
	return count
}

func fuzzBubble(t *testing.T, seed uint64, faulty func(*order) ledger) (count fuzzCount, violations []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		voters := []int32{1, 2, 3}
		if seed%soloEvery == 0 {
			voters = voters[:1]
		}
		f := &fuzz{
			cluster: newCluster(t, seed, Config{}, voters...), seed: seed, ctx: ctx, over: make(chan struct{}),
			epochs: make(map[int32]bool), acked: make(map[ackKey]ackedBatch), seen: make(map[int64]uint32),
		}
		if seed%3 == 0 {
			f.cfg.Fsync = FsyncAlways
		}
		f.cfg.Logger = slog.New(slog.NewTextHandler(&f.said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		f.temper(faulty)
		for _, id := range f.members {
			if err := f.start(id); err != nil {
				t.Fatal(err)
			}
		}
		var watchers, producers sync.WaitGroup
		watch, stopWatching := context.WithCancel(context.Background())
		for _, id := range f.members {
			watchers.Go(func() { f.watch(watch, id) })
		}
		crowd := 1 + f.intn(8)
		if len(voters) == 1 {
			crowd = 30 // rounds longer than what raft takes at once
		}
		for id := range int64(crowd) {
			producers.Go(func() { (&fuzzProducer{f: f, id: id + 1, window: 1}).run() })
		}
		f.nemesis()
		cancel()
		patience := 20
		if faulty != nil {
			patience = 4
		}
		f.recover(&producers, patience)
		stopWatching()
		watchers.Wait()
		f.judgeLogs()
		for _, id := range f.members {
			f.stop(id)
		}
		if len(f.violations) > 0 {
			f.violations = append(f.violations, f.said.lines...)
		}
		count, violations = f.count, f.violations
		count.leaderships, count.acked = len(f.epochs), len(f.acked)
	})
	return count, violations
}

// temper gives the bubble its own pace: a network with or without delay, a
// store that is quick or lets proposals queue up before it.
func (f *fuzz) temper(faulty func(*order) ledger) {
	f.delay = f.intn(2) * f.intn(2000)
	slow := f.intn(2) == 0
	f.cfg.faulty = func(o *order) ledger {
		var l ledger = o
		if faulty != nil {
			l = faulty(o)
		}
		return pacedLedger{l, o, f, slow}
	}
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

// recover repairs everything and waits until all is acked and replicated.
func (f *fuzz) recover(producers *sync.WaitGroup, patience int) {
	f.heal()
	for _, id := range f.members {
		f.disk[id].SetRules()
		if f.partition(id) != nil {
			continue
		}
		if err := f.start(id); err != nil {
			f.violation("node %d does not start again: %v", id, err)
		}
	}
	done := make(chan struct{})
	go func() {
		producers.Wait()
		close(done)
	}()
	for range patience {
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			f.kick(f.anyone())
			continue
		}
		break
	}
	select {
	case <-done:
	default:
		f.violation("a producer is stuck: %s", f.describe())
		close(f.over)
		<-done
	}
	for range 100 {
		if f.level() {
			return
		}
		if f.leader() == nil {
			f.kick(f.anyone())
		}
		time.Sleep(5 * time.Second)
	}
	f.violation("replicas do not become equal: %s", f.describe())
}

// level reports whether all replicas hold and have committed the same.
func (f *fuzz) level() bool {
	lead := f.leader()
	if lead == nil {
		return false
	}
	for _, id := range f.members {
		p := f.partition(id)
		if p == nil || p.Log().LastIndex() != lead.Log().LastIndex() || p.HighWatermark() != lead.EndOffset() {
			return false
		}
	}
	return true
}

func (f *fuzz) describe() string {
	var s strings.Builder
	for _, id := range f.members {
		p := f.partition(id)
		if p == nil {
			fmt.Fprintf(&s, "node %d down; ", id)
			continue
		}
		g := p.group.Load()
		p.order.mu.Lock()
		fmt.Fprintf(&s, "node %d %+v raft %v term %d last %d hw %d end %d failed %v turn %v waiting %d commits %d round %v; ", id, p.Leadership(), g.raft.State(), g.raft.CurrentTerm(),
			g.log.LastIndex(), p.HighWatermark(), g.log.EndOffset(), g.store.failed.Load(), p.order.turn, len(p.order.waiting), len(p.order.commits), p.order.round)
		p.order.mu.Unlock()
	}
	return s.String()
}

// watch follows one node: its high watermark never falls within an epoch, and
// what was once below it never changes.
func (f *fuzz) watch(ctx context.Context, id int32) {
	var last *Partition
	var hw, from int64
	for {
		p := f.partition(id)
		if p == nil {
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		}
		if p != last {
			last, hw, from = p, 0, 0
		}
		moved := p.Moved()
		l, now := p.Leadership(), p.HighWatermark()
		if now < hw {
			f.violation("node %d: high watermark fell from %d to %d", id, hw, now)
		}
		if lso := p.LastStableOffset(); lso > now && p.HighWatermark() == now {
			f.violation("node %d: last stable offset %d above high watermark %d", id, lso, now)
		}
		hw = now
		if l.Ready {
			f.mu.Lock()
			f.epochs[l.Epoch] = true
			f.mu.Unlock()
		}
		from = f.sample(p, from, hw)
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// sample remembers what a replica shows as committed. It must never differ.
func (f *fuzz) sample(p *Partition, from, hw int64) int64 {
	bytes, err := p.Log().Read(nil, from, hw, 1<<20, true)
	if err != nil {
		return from // closed or truncated under us; the next time will do
	}
	for len(bytes) > 0 {
		b, err := record.Peek(bytes)
		if err != nil || b.Checksum() != b.CRC() {
			f.violation("node %d shows a broken batch at %d", p.node.cfg.NodeID, from)
			return hw
		}
		f.mu.Lock()
		crc, known := f.seen[b.BaseOffset()]
		f.seen[b.BaseOffset()] = crc32.ChecksumIEEE(b)
		f.mu.Unlock()
		if known && crc != crc32.ChecksumIEEE(b) {
			f.violation("node %d: committed offset %d changed", p.node.cfg.NodeID, b.BaseOffset())
		}
		from = b.NextOffset()
		bytes = bytes[b.Size():]
	}
	return from
}

// judgeLogs checks the final logs: equal bytes, no gap, each acked batch once.
func (f *fuzz) judgeLogs() {
	lead := f.leader()
	if lead == nil {
		return
	}
	whole, err := lead.Log().Read(nil, 0, lead.HighWatermark(), 1<<30, true)
	if err != nil {
		f.violation("read the leader: %v", err)
		return
	}
	for _, id := range f.members {
		p := f.partition(id)
		if p == nil {
			continue
		}
		other, err := p.Log().Read(nil, 0, p.HighWatermark(), 1<<30, true)
		if err != nil || string(other) != string(whole) {
			f.violation("node %d differs from the leader below the high watermark: %d and %d bytes, %v", id, len(other), len(whole), err)
		}
	}
	next := make(map[int64]int32)
	offset := int64(0)
	found := make(map[ackKey]ackedBatch)
	for len(whole) > 0 {
		b, err := record.Peek(whole)
		if err != nil || b.Checksum() != b.CRC() || b.BaseOffset() != offset {
			f.violation("broken batch at offset %d: %v", offset, err)
			return
		}
		offset, whole = b.NextOffset(), whole[b.Size():]
		if b.ProducerID() < 0 {
			continue
		}
		key := ackKey{b.ProducerID(), b.BaseSequence()}
		if b.BaseSequence() != next[b.ProducerID()] {
			f.violation("producer %d: sequence %d at offset %d, want %d", key.producer, key.sequence, b.BaseOffset(), next[key.producer])
		}
		next[key.producer] = b.LastSequence() + 1
		if _, twice := found[key]; twice {
			f.violation("producer %d: sequence %d is there twice", key.producer, key.sequence)
		}
		found[key] = ackedBatch{b.BaseOffset(), b.CRC()}
	}
	for key, want := range f.acked {
		if got, ok := found[key]; !ok || got != want {
			f.violation("producer %d: sequence %d acked at %+v, found at %+v (%v)", key.producer, key.sequence, want, got, ok)
		}
	}
}

// A fuzzProducer is an idempotent client with up to five batches in flight,
// that sends what is not acked again, in order, to whoever leads. Sometimes it
// gives up on an answer and sends again while the first request still runs.
type fuzzProducer struct {
	f       *fuzz
	id      int64
	next    int32 // first sequence of the next new batch
	pending []*flight
	window  int // 1 until the first ack: a partition takes any first sequence of a producer it does not know (KIP-360)
	late    sync.WaitGroup
}

// A flight is a batch that is not acked yet.
type flight struct {
	sequence int32
	count    int
}

func (p *fuzzProducer) run() {
	defer p.late.Wait()
	for p.f.ctx.Err() == nil || len(p.pending) > 0 {
		select {
		case <-p.f.over:
			return
		default:
		}
		for len(p.pending) < p.window && p.f.ctx.Err() == nil {
			n := 1 + p.f.intn(3)
			p.pending = append(p.pending, &flight{p.next, n})
			p.next += int32(n)
		}
		if to := p.target(); to != nil {
			p.send(to)
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// target is who seems to lead; now and then another.
func (p *fuzzProducer) target() *Partition {
	if p.f.chance(5) {
		return p.f.partition(p.f.anyone())
	}
	return p.f.leader()
}

// send has all pending batches in flight at once and keeps what is not acked.
func (p *fuzzProducer) send(to *Partition) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	type result struct {
		fl  *flight
		got Appended
		err error
		crc uint32
	}
	results := make(chan result, 2*len(p.pending))
	waiting := 0
	for _, fl := range p.pending {
		for range 1 + p.f.intn(12)/11 { // now and then twice, on two connections
			batch := p.batch(fl)
			q, err := to.proposal(Append{Batch: batch, Acks: -1})
			if err != nil {
				continue
			}
			waiting++
			to.order.submit(q)
			p.late.Go(func() {
				to.order.await(ctx, q)
				results <- result{fl, to.appended(q), q.err, batch.CRC()}
			})
		}
	}
	patience := time.Duration(1+p.f.intn(3000)) * time.Millisecond
	impatient := time.After(patience)
	acked := make(map[*flight]bool)
	for ; waiting > 0; waiting-- {
		select {
		case r := <-results:
			if p.answer(r.fl, r.got, r.err, r.crc) {
				acked[r.fl] = true
			}
			continue
		case <-impatient:
		}
		break
	}
	if waiting == 0 {
		cancel()
	} else {
		p.late.Go(func() {
			<-ctx.Done()
			cancel()
		})
	}
	rest := p.pending[:0]
	for _, fl := range p.pending {
		if !acked[fl] {
			rest = append(rest, fl)
			continue
		}
		p.window = 5
	}
	p.pending = rest
	time.Sleep(time.Duration(p.f.intn(60)) * time.Millisecond)
}

// batch encodes a flight: the same bytes each time it is sent.
func (p *fuzzProducer) batch(fl *flight) record.Batch {
	return batchOf(p.id, 0, fl.sequence, fl.count)
}

// answer judges one answer and remembers an ack.
func (p *fuzzProducer) answer(fl *flight, got Appended, err error, crc uint32) bool {
	if err != nil {
		for _, allowed := range []error{
			kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.OutOfOrderSequenceNumber, kerr.KafkaStorageError,
			kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
		} {
			if errors.Is(err, allowed) {
				return false
			}
		}
		p.f.violation("producer %d: sequence %d got %v", p.id, fl.sequence, err)
		return false
	}
	key, now := ackKey{p.id, fl.sequence}, ackedBatch{got.BaseOffset, crc}
	p.f.mu.Lock()
	before, twice := p.f.acked[key]
	p.f.acked[key] = now
	if got.Duplicate {
		p.f.count.duplicates++
	}
	p.f.mu.Unlock()
	if twice && before != now {
		p.f.violation("producer %d: sequence %d acked at %+v and at %+v", p.id, fl.sequence, before, now)
	}
	return true
}
