package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oncelog/oncelog/conformance/wire"
)

// judge runs one case, cleans up after it and gives the verdict. A target that
// died is started anew; died says that another case may have ended it.
func (s *suite) judge(ctx context.Context, c Case) (r Result, died bool) {
	reason := s.missing(c)
	switch {
	case ctx.Err() != nil:
		reason = "the run was stopped"
	case s.target.lost():
		reason = "the target died, and nothing was given that starts it (--start)"
	}
	if reason != "" {
		return s.result(c, Skip, reason), false
	}
	started, generation := time.Now(), s.target.generation()
	t := s.newT(ctx, c.ID)
	panicked := t.runWithin(s.config.Timeout, c.Run)
	seconds := time.Since(started).Seconds()
	if panicked != nil {
		t.record("the case", false, "no panic", fmt.Sprint(panicked))
	}
	if t.failed() && ctx.Err() == nil {
		var err error
		if died, err = s.revive(ctx, generation); err != nil {
			t.record("the target", false, "goes on answering", err.Error())
		} else if died {
			t.record("the target", false, "goes on answering", "it died and was started anew")
		}
	}
	if !died {
		s.cleanUp(ctx, t)
	}
	verdict, why := s.verdict(c, t)
	r = s.result(c, verdict, why)
	r.Seconds, r.Checks = seconds, t.checks
	n := newNormaliser(t.prefix, s.cluster.Load().seeds())
	if s.recording && !t.raced {
		r.exchanges, r.looks = n.exchanges(t.wire.Entries()), n.looks(t.checks)
	}
	tellKafka(r.Checks, c.ID, s.cluster.Load().features, n)
	if t.failed() && s.config.Traces != "" {
		if err := s.keep(&r, t.wire); err != nil {
			r.Reason = strings.TrimPrefix(r.Reason+"; ", "; ") + "what was sent could not be kept: " + err.Error()
		}
	}
	return r, died
}

// result is a verdict on a case that rests on nothing yet.
func (s *suite) result(c Case, v Verdict, reason string) Result {
	return Result{ID: c.ID, Title: c.Title, Requirement: c.Requirement, Level: c.Level, Verdict: v, Reason: reason, Destructive: c.Destructive, Oracle: recordedBy(c.ID)}
}

// missing says why a case makes no sense for this target, or "".
func (s *suite) missing(c Case) string {
	if c.Destructive && !s.config.Destructive {
		return "may end a weak broker; it was not asked for (--destructive)"
	}
	return s.cluster.Load().missing(c.Needs)
}

func (s *suite) newT(ctx context.Context, id string) *T {
	// Each try has names of its own: a transactional id is not forgotten when a case ends.
	prefix := fmt.Sprintf("oncelog-%s-%s-%d", s.run, strings.ReplaceAll(id, "/", "-"), s.tries.Add(1))
	return &T{ctx: ctx, cluster: s.cluster.Load(), prefix: prefix, conns: map[int32]*conn{}, wire: new(wire.Recorder)}
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
	sweeper := &T{ctx: context.WithoutCancel(ctx), cluster: s.cluster.Load(), prefix: t.prefix, conns: map[int32]*conn{}}
	broken := sweeper.runWithin(patience, func(w *T) {
		for _, tp := range t.topics {
			code := w.deleteTopic(tp)
			w.code("clean up topic "+tp.name, code, codeNone, codeUnknownTopicOrPartition)
		}
		if t.failed() {
			w.release(t.members)
		}
		for _, g := range t.groups {
			if w.cluster.offers(keyDeleteGroups) {
				w.deleteGroup(g)
			}
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
	why, expected := s.config.Expect[c.ID]
	if why == "" {
		why = "no reason is given"
	}
	switch {
	case !t.failed() && t.skipped != "":
		return Skip, t.skipped
	case !t.failed() && expected:
		return UnexpectedPass, "was expected to fail: " + why
	case !t.failed():
		return Pass, ""
	case expected:
		return ExpectedFail, "was expected to fail: " + why
	case c.Level == Observed, c.Level == Should && !s.config.Strict:
		return Note, "differs, and " + string(c.Level) + " allows it"
	default:
		return Fail, ""
	}
}
