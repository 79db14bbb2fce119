package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/oncelog/oncelog/conformance/verify"
)

var (
	crashRounds = flag.Int("rounds", 5, "how often TestKilledUnderLoad kills the broker")
	crashKeep   = flag.Bool("keep", false, "keep the folder and the history of TestKilledUnderLoad also when it passes")
	crashSeed   = flag.Uint64("seed", 0, "of what TestKilledUnderLoad does; 0 takes one of its own")
)

// What a round has to achieve before its kill, so that each kill meets load.
const (
	roundAcked = 150
	roundEnded = 15
)

// A crash is a broker that is killed and started again on the same folder.
type crash struct {
	*testing.T
	random   *rand.Rand
	recorder *verify.Recorder
	dir      string
	port     string
	took     time.Duration // of the last start, for kills during the next
	p        *process
}

// TestKilledUnderLoad kills a broker again and again under idempotent and
// transactional load, and judges all that clients were told and all that is
// left (semantics: promises 1, 2, 3, 5, 6, 8, 9, 10, 14, 15, 16, 17, 19).
func TestKilledUnderLoad(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d rounds, seed %d", *crashRounds, seed)
	c := newCrash(t, seed, "")
	load := c.load(seed)
	for round := range *crashRounds {
		c.round(round)
	}
	c.awaitProgress(*crashRounds)
	c.finish(load, *crashRounds)
}

// newCrash starts a broker on a folder, by default one of its own.
func newCrash(t *testing.T, seed uint64, dir string) *crash {
	t.Helper()
	c := &crash{T: t, random: rand.New(rand.NewPCG(seed, 0)), recorder: verify.NewRecorder(), dir: dir, port: strconv.Itoa(freePorts(t, 1)[0])}
	if dir == "" {
		var err error
		if c.dir, err = os.MkdirTemp("", "oncelog-crash-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.keep)
	}
	c.start(false)
	return c
}

// load starts the clients.
func (c *crash) load(seed uint64) *verify.Load {
	c.Helper()
	load, err := verify.Start(c.Context(), c.recorder, verify.Options{
		Brokers: []string{c.p.Bootstrap}, TransactionTimeout: 2 * time.Second, Settle: chaosSettle, Seed: seed,
	})
	if err != nil {
		c.Fatal(err)
	}
	return load
}

// finish ends the load and judges it.
func (c *crash) finish(load *verify.Load, rounds int) {
	c.Helper()
	began := time.Now()
	if err := load.Finish(c.Context()); err != nil {
		c.Error(err)
	}
	c.Logf("finished in %v", time.Since(began).Round(time.Millisecond))
	c.judge(rounds)
}

// round waits for progress, lets the broker die in one of several ways and
// starts it again; one start in four flushes before each answer.
func (c *crash) round(n int) {
	c.Helper()
	began := time.Now()
	c.recorder.Add(verify.Event{Kind: verify.Round})
	c.awaitProgress(n)
	worked := time.Since(began)
	if n%5 == 3 {
		c.terminate()
	} else {
		c.kill()
	}
	if n%3 == 1 {
		for range 1 + c.random.IntN(3) {
			c.killStart(time.Duration(c.random.Int64N(int64(min(c.took, time.Second)))))
		}
	}
	c.start(n%4 == 2)
	c.Logf("round %d: killed after %v, back after %v", n, worked.Round(time.Millisecond), (time.Since(began) - worked).Round(time.Millisecond))
}

// awaitProgress waits until clients were told enough that is new, and then for
// a moment that nothing leads up to.
func (c *crash) awaitProgress(n int) {
	c.Helper()
	before, more := c.recorder.Tally(), c.random.IntN(1000)
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	err := c.recorder.Await(ctx, func(t verify.Tally) bool {
		return t.Acked >= before.Acked+roundAcked && t.Ended >= before.Ended+roundEnded && t.Events >= before.Events+more
	})
	if err != nil {
		now := c.recorder.Tally()
		c.Fatalf("round %d: only %d acknowledged records and %d ended transactions in a minute; the broker said:\n%s",
			n, now.Acked-before.Acked, now.Ended-before.Ended, c.p.errs)
	}
}

func (c *crash) kill() {
	c.p.kill()
	c.recorder.Add(verify.Event{Kind: verify.Kill})
}

// terminate asks the broker to end, and wants it to.
func (c *crash) terminate() {
	c.Helper()
	stopCleanly(c.T, c.p)
	c.recorder.Add(verify.Event{Kind: verify.Kill})
}

// arguments of a broker on the folder and port of the test. Segments roll and
// coordinators' logs are compacted all the time, so that kills meet that too.
func (c *crash) arguments(fsync bool) []string {
	args := []string{"serve"}
	for _, set := range []string{
		"log.dirs=" + c.dir, "listeners=PLAINTEXT://localhost:" + c.port, "group.initial.rebalance.delay.ms=0",
		"log.roll.ms=300", "log.cleaner.backoff.ms=50", "log.cleaner.min.cleanable.ratio=0.01",
	} {
		args = append(args, "--set", set)
	}
	if fsync {
		args = append(args, "--set", "oncelog.fsync=always")
	}
	return args
}

func (c *crash) start(fsync bool) {
	c.Helper()
	began := time.Now()
	c.p = start(c.T, c.arguments(fsync)...)
	c.took = time.Since(began)
}

// killStart kills a broker while it recovers.
func (c *crash) killStart(after time.Duration) {
	c.Helper()
	p := launch(c.T, c.arguments(false)...)
	select {
	case <-p.done:
		c.Errorf("the broker ended by itself %v after its start, saying:\n%s", after, p.errs)
	case <-time.After(after): // the fault is the moment
	}
	p.kill()
	c.recorder.Add(verify.Event{Kind: verify.Kill})
}

// judge fails the test on an anomaly, and on a run that did too little to count.
func (c *crash) judge(rounds int) {
	c.Helper()
	verdict := verify.Judge(c.recorder.History(), verify.Floors{
		Acked: roundAcked, Ended: roundEnded, Kills: 1,
		Committed: 5 * rounds, Aborted: rounds, Transformed: 10 * rounds, Read: 200 * rounds, Positions: rounds, Grants: 5 * rounds,
	})
	names := make(map[string]int)
	for _, a := range verdict.Anomalies {
		if names[a.Name]++; names[a.Name] <= 5 {
			c.Error(a)
		}
	}
	for name, n := range names {
		c.Errorf("%d times %s", n, name)
	}
	for _, floor := range verdict.Missed {
		c.Errorf("inconclusive: %s", floor)
	}
	c.Logf("%+v", verdict.Figures)
}

// keep leaves the folder and the history where a failed test can be looked
// into, and removes them otherwise.
func (c *crash) keep() {
	if !c.Failed() && !*crashKeep {
		if err := os.RemoveAll(c.dir); err != nil {
			c.Error(err)
		}
		return
	}
	name := filepath.Join(c.dir, "history.jsonl")
	file, err := os.Create(name)
	if err == nil {
		err = c.recorder.History().Write(file)
	}
	if err != nil {
		c.Error(err)
	}
	if err := file.Close(); err != nil {
		c.Error(err)
	}
	c.Logf("the broker's folder and the history are in %s", c.dir)
}
