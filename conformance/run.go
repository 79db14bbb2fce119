package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what to judge and how.
type Options struct {
	Brokers     []string      // host:port of the target; the first that answers is asked
	Filter      []string      // ids or their beginnings; none: every case
	AllowRemote bool          // judge a target that is not on this machine
	Strict      bool          // a difference in a SHOULD case fails
	Expect      []string      // ids known to fail on this target
	Parallel    int           // cases at a time; 0: one
	Timeout     time.Duration // of one case; 0: 60 s
	Progress    io.Writer     // gets the head, a line per case and the summary; nil: nothing
}

// A suite is one run against one target.
type suite struct {
	options Options
	cluster *cluster
	run     string
}

// open looks at the target; it changes nothing there.
func open(ctx context.Context, o Options) (*suite, error) {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	c, err := openCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	return &suite{options: o, cluster: c, run: hex.EncodeToString(id[:])}, nil
}

// Run judges the target and reports every selected case. The error says that
// the run could not be made; failed cases are in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	cases, err := Select(Cases(), o.Filter)
	if err != nil {
		return Report{}, err
	}
	s, err := open(ctx, o)
	if err != nil {
		return Report{}, err
	}
	started := time.Now()
	report := Report{
		Schema: SchemaVersion, Suite: Version, Run: s.run, Started: started.UTC(),
		Target: s.cluster.target(o.Brokers), Results: make([]Result, len(cases)),
	}
	out := &progress{w: o.Progress}
	out.write(report.head())
	indexes := make(chan int)
	var workers sync.WaitGroup
	for range max(1, o.Parallel) {
		workers.Go(func() {
			for i := range indexes {
				report.Results[i] = s.judge(ctx, cases[i])
				out.write(report.Results[i].Text(o.Brokers))
			}
		})
	}
	for i := range cases {
		if ctx.Err() != nil {
			report.Results[i] = s.skip(cases[i], "the run was stopped")
			continue
		}
		indexes <- i
	}
	close(indexes)
	workers.Wait()
	report.Seconds = time.Since(started).Seconds()
	out.write(report.Summary() + "\n")
	return report, errors.Join(ctx.Err(), out.err)
}

// progress serialises what the workers write and keeps the first error.
type progress struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

func (p *progress) write(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// judge runs one case, cleans up after it and gives the verdict.
func (s *suite) judge(ctx context.Context, c Case) Result {
	started := time.Now()
	if reason := s.cluster.missing(c.Needs); reason != "" {
		return s.skip(c, reason)
	}
	r := Result{ID: c.ID, Title: c.Title, Requirement: c.Requirement, Level: c.Level}
	t := s.newT(ctx, c.ID)
	panicked := t.runWithin(s.options.Timeout, c.Run)
	r.Seconds = time.Since(started).Seconds()
	s.cleanUp(ctx, t)
	if panicked != nil {
		t.record("the case", false, "no panic", fmt.Sprint(panicked))
	}
	r.Checks = t.checks
	r.Verdict, r.Reason = s.verdict(c, t)
	return r
}

func (s *suite) skip(c Case, reason string) Result {
	return Result{ID: c.ID, Title: c.Title, Requirement: c.Requirement, Level: c.Level, Verdict: Skip, Reason: reason}
}

func (s *suite) newT(ctx context.Context, id string) *T {
	slug := strings.ReplaceAll(id, "/", "-")
	return &T{ctx: ctx, cluster: s.cluster, prefix: "oncelog-" + s.run + "-" + slug, conns: map[int32]*conn{}}
}

// runWithin runs a case body in a goroutine of its own, which a failed demand
// may end, and waits for it. It returns the value of a panic.
func (t *T) runWithin(timeout time.Duration, body func(*T)) (panicked any) {
	ctx, cancel := context.WithTimeoutCause(t.ctx, timeout, fmt.Errorf("the case took more than %v", timeout))
	defer cancel()
	t.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		body(t)
	}()
	<-done
	t.close()
	return panicked
}

// cleanUp deletes what the case made, with a time of its own: the case may
// have used up its own, or been stopped.
func (s *suite) cleanUp(ctx context.Context, t *T) {
	sweeper := &T{ctx: context.WithoutCancel(ctx), cluster: s.cluster, prefix: t.prefix, conns: map[int32]*conn{}}
	broken := sweeper.runWithin(patience, func(w *T) {
		for _, tp := range t.topics {
			code := w.deleteTopic(tp)
			w.code("clean up topic "+tp.name, code, codeNone, codeUnknownTopicOrPartition)
		}
		if t.failed() {
			w.release(t.members)
		}
		for _, g := range t.groups {
			w.deleteGroup(g)
		}
	})
	if broken != nil {
		sweeper.record("clean up", false, "no panic", fmt.Sprint(broken))
	}
	if t.failed() {
		return // what is left behind follows from the failure
	}
	for _, c := range sweeper.checks {
		if !c.OK {
			t.checks = append(t.checks, c)
		}
	}
}

func (t *T) failed() bool {
	return slices.ContainsFunc(t.checks, func(c Check) bool { return !c.OK })
}

// verdict weighs what a case saw by its level and by what was expected.
func (s *suite) verdict(c Case, t *T) (v Verdict, reason string) {
	expected := slices.Contains(s.options.Expect, c.ID)
	switch {
	case !t.failed() && t.skipped != "":
		return Skip, t.skipped
	case !t.failed() && expected:
		return UnexpectedPass, "was expected to fail"
	case !t.failed():
		return Pass, ""
	case expected:
		return ExpectedFail, "was expected to fail"
	case c.Level == Observed, c.Level == Should && !s.options.Strict:
		return Note, "differs, and " + string(c.Level) + " allows it"
	default:
		return Fail, ""
	}
}
