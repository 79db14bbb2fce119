package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A suite is one run against one target.
type suite struct {
	config  Config
	run     string
	cluster atomic.Pointer[cluster]
	target  *target
	tries   atomic.Int64 // cases that were begun

	recording bool // results keep what Record wants of them
}

// open looks at the target; it changes nothing there.
func open(ctx context.Context, config Config) (*suite, error) {
	config.Timeout = cmp.Or(config.Timeout, time.Minute)
	config.Repeat, config.Parallel = max(1, config.Repeat), max(1, config.Parallel)
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	s := &suite{config: config, run: hex.EncodeToString(id[:]), target: newTarget(config.Start)}
	c, err := openCluster(ctx, config)
	if err != nil && config.Start != "" && !errors.Is(err, ErrRemote) {
		c, err = s.target.start(ctx, config)
	}
	if err != nil {
		s.target.stop()
		return nil, err
	}
	s.cluster.Store(c)
	return s, nil
}

// selected is what a Config asks for, in the order of the list of cases. It
// refuses a Config that cannot be meant.
func (c Config) selected() ([]Case, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	cases, err := Select(Cases(), c.Filter)
	return c.Shard.of(cases), err
}

// Plan looks at the target and reports what Run would do: Planned, or Skip
// with the reason. Nothing is changed on the target.
func Plan(ctx context.Context, config Config) (Report, error) {
	cases, err := config.selected()
	if err != nil {
		return Report{}, err
	}
	s, err := open(ctx, config)
	if err != nil {
		return Report{}, err
	}
	defer s.target.stop()
	report := s.report(len(cases))
	for i, c := range cases {
		report.Results[i] = s.result(c, Planned, "")
		if reason := s.missing(c); reason != "" {
			report.Results[i] = s.result(c, Skip, reason)
		}
	}
	return report, nil
}

// Run judges the target and reports every selected case. The error says that
// the run could not be made; failed cases are in the report.
func Run(ctx context.Context, config Config) (Report, error) {
	cases, err := config.selected()
	if err != nil {
		return Report{}, err
	}
	s, err := open(ctx, config)
	if err != nil {
		return Report{}, err
	}
	defer s.target.stop()
	report := s.report(len(cases))
	out := &progress{w: config.Progress, status: config.Status, total: len(cases) * s.config.Repeat}
	out.write(report.head())
	for round := range s.config.Repeat {
		for i, r := range s.round(ctx, cases, uint64(round), out) {
			report.Results[i].add(r)
		}
	}
	report.Seconds = time.Since(report.Started).Seconds()
	out.write(report.Summary() + "\n")
	return report, errors.Join(ctx.Err(), out.err)
}

// report is an empty one of this run.
func (s *suite) report(n int) Report {
	return Report{
		Schema: SchemaVersion, Suite: Version, Run: s.run, Seed: s.config.Seed, Started: time.Now().UTC(),
		Target: s.cluster.Load().target(s.config.Brokers), Results: make([]Result, n),
	}
}

// round judges every case once: several at a time, and then, one by one, those
// that ran while the target died, those that want to be alone and those that
// may end it, which are the last of the list.
func (s *suite) round(ctx context.Context, cases []Case, round uint64, out *progress) []Result {
	results := make([]Result, len(cases))
	var together, alone []int
	for i, c := range cases {
		if c.Destructive || c.Alone {
			alone = append(alone, i)
		} else {
			together = append(together, i)
		}
	}
	if s.config.Seed != 0 {
		mathrand.New(mathrand.NewPCG(s.config.Seed, round)).Shuffle(len(together), func(i, j int) {
			together[i], together[j] = together[j], together[i]
		})
	}
	again := s.parallel(ctx, cases, together, results, out)
	for _, i := range append(again, alone...) {
		out.starts(cases[i])
		results[i], _ = s.judge(ctx, cases[i])
		out.ends(results[i], s.config.Brokers)
	}
	return results
}

// parallel judges the cases with these indexes, and returns those whose
// verdict says nothing, because the target died meanwhile and was started anew.
func (s *suite) parallel(ctx context.Context, cases []Case, indexes []int, results []Result, out *progress) (again []int) {
	queue := make(chan int)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range s.config.Parallel {
		workers.Go(func() {
			for i := range queue {
				out.starts(cases[i])
				r, died := s.judge(ctx, cases[i])
				if died {
					mu.Lock()
					again = append(again, i)
					mu.Unlock()
					continue
				}
				results[i] = r
				out.ends(r, s.config.Brokers)
			}
		})
	}
	for _, i := range indexes {
		queue <- i
	}
	close(queue)
	workers.Wait()
	return again
}

// progress serialises what the workers write and keeps the first error.
type progress struct {
	mu                  sync.Mutex
	w, status           io.Writer
	done, total, failed int
	err                 error
}

// eraseLine takes the status line off a terminal.
const eraseLine = "\r\x1b[K"

func (p *progress) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeLocked(text)
}

func (p *progress) writeLocked(text string) {
	if p.status != nil && p.err == nil {
		_, p.err = io.WriteString(p.status, eraseLine)
	}
	if p.w != nil && p.err == nil {
		_, p.err = io.WriteString(p.w, text)
	}
}

func (p *progress) starts(c Case) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(c.ID)
}

func (p *progress) ends(r Result, brokers []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if r.Verdict.bad() {
		p.failed++
	}
	p.writeLocked(r.Text(brokers))
	p.tell(r.ID)
}

// tell writes the status line.
func (p *progress) tell(id string) {
	if p.status != nil && p.err == nil {
		_, p.err = fmt.Fprintf(p.status, "%s%d of %d, %d failed, at %s", eraseLine, p.done, p.total, p.failed, id)
	}
}
