package replication

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	fuzzLeaderships = flag.Int("leaderships", 0, "run the append fuzz until there were this many leaderships")
	fuzzSeed        = flag.Uint64("seed", 0, "run the append fuzz with this seed only")
)

// soloEvery is how often a bubble has one voter instead of three.
const soloEvery = 5

// fuzzTime is how long the append fuzz runs.
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

type fuzzCount struct {
	leaderships, acked, duplicates, kicks, cuts, transfers, diskErrors, reopened, powerCuts int

	installs int // boundaries installed on followers
	unseen   int // acked batches that retention deleted before anybody saw them
}

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
	c.installs += o.installs
	c.unseen += o.unseen
}

func (c fuzzCount) String() string {
	return fmt.Sprintf("leaderships %d, batches acked %d, duplicates %d, kicks %d, cuts %d, transfers %d, disk errors %d, reopened %d (%d after a power cut), installs %d, deleted unseen %d",
		c.leaderships, c.acked, c.duplicates, c.kicks, c.cuts, c.transfers, c.diskErrors, c.reopened, c.powerCuts, c.installs, c.unseen)
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
	seen       map[int64]seenBatch // by offset, what was committed
	violations []string
}

// lastLines keeps the last warnings about partitions that a logger wrote, and
// counts the installed boundaries.
type lastLines struct {
	mu       sync.Mutex
	lines    []string
	installs int
}

func (l *lastLines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case strings.Contains(string(b), `msg="installed the leader's boundary"`):
		l.installs++
	case !strings.Contains(string(b), "msg=raft") && !strings.Contains(string(b), "level=INFO"):
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
			epochs: make(map[int32]bool), acked: make(map[ackKey]ackedBatch), seen: make(map[int64]seenBatch),
		}
		if seed%3 == 0 {
			f.cfg.Fsync = FsyncAlways
		}
		f.cfg.Logger = f.said.logger()
		if seed%2 == 0 {
			f.keepLittle()
		}
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
		count.leaderships, count.acked, count.installs = len(f.epochs), len(f.acked), f.said.installs
	})
	return count, violations
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

// level reports whether all replicas hold and have committed the same, and
// retention has nothing left to delete.
func (f *fuzz) level() bool {
	lead := f.leader()
	if lead == nil {
		return false
	}
	if _, more := lead.Log().RetentionStart(time.Now(), lead.HighWatermark()); more {
		return false
	}
	for _, id := range f.members {
		p := f.partition(id)
		if p == nil || p.Log().LastIndex() != lead.Log().LastIndex() || p.HighWatermark() != lead.EndOffset() || p.StartOffset() != lead.StartOffset() {
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
