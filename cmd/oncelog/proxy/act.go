package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/protocol"
)

// Check says whether a proxy can do what a rule asks for.
func Check(r fault.Rule) error {
	if r.Act.Inside() {
		return fmt.Errorf("%s happens inside of a broker, which a proxy cannot reach: only an oncelog broker that was started with faults can do it", r.Act)
	}
	return nil
}

// act does to a request what its hit asks for.
func (s *session) act(ctx context.Context, e *exchange, request kmsg.Request, frame []byte, answered bool) error {
	rule := e.hit.Rule
	switch rule.Act {
	case fault.Drop:
		e.ends, e.silent = true, true
		return s.enqueue(ctx, e)
	case fault.LoseAnswer, fault.Close:
		e.ends = true
		if answered && (rule.Act == fault.LoseAnswer || rule.At == "answer") {
			return s.forward(ctx, e, frame, true)
		}
		e.silent = true
		if _, err := s.upstream.Write(frame); err != nil {
			s.abandon(e)
			return err
		}
		return s.enqueue(ctx, e)
	case fault.Delay, fault.Reorder:
		if rule.Act == fault.Delay && rule.At == "answer" && answered {
			return s.forward(ctx, e, frame, true)
		}
		outcome, err := s.wait(ctx, rule)
		e.hit.Done(outcome)
		e.hit = nil
		if err != nil {
			return err
		}
		return s.forward(ctx, e, frame, answered)
	case fault.Duplicate:
		return s.duplicate(ctx, e, frame, answered)
	case fault.Error:
		return s.refuse(ctx, e, request, frame, answered)
	}
	e.hit.Done(fmt.Sprint("nothing was done: ", Check(rule)))
	e.hit = nil
	return s.forward(ctx, e, frame, answered)
}

// wait holds a request for as long as a Delay or a Reorder says.
func (s *session) wait(ctx context.Context, rule fault.Rule) (outcome string, err error) {
	if rule.Act == fault.Delay {
		if err := pause(ctx, rule.For); err != nil {
			return "the connection ended first", context.Cause(ctx)
		}
		return fmt.Sprintf("delayed by %v", rule.For), nil
	}
	o := s.p.overtake(s.id, rule)
	defer s.p.overtaken(o)
	timer := time.NewTimer(rule.For)
	defer timer.Stop()
	select {
	case <-o.done:
		return fmt.Sprintf("overtaken by %d", rule.Behind), nil
	case <-timer.C:
		return fmt.Sprintf("nobody overtook it within %v", rule.For), nil
	case <-ctx.Done():
		return "the connection ended first", context.Cause(ctx)
	}
}

// An overtaking is a request that waits until others have been answered.
type overtaking struct {
	conn int64
	rule fault.Rule
	left int64
	done chan struct{}
}

func (p *Proxy) overtake(conn int64, rule fault.Rule) *overtaking {
	o := &overtaking{conn: conn, rule: rule, left: rule.Behind, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow[o] = struct{}{}
	return o
}

func (p *Proxy) overtaken(o *overtaking) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.slow, o)
}

// settled tells requests that wait to be overtaken of one that was answered.
func (p *Proxy) settled(event *fault.Event) {
	if event == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for o := range p.slow {
		if o.conn == event.Conn || o.left == 0 || !o.rule.Match.Matches(event) {
			continue
		}
		if o.left--; o.left == 0 {
			close(o.done)
		}
	}
}

// duplicate passes a request on and keeps it, to be sent once more.
func (s *session) duplicate(ctx context.Context, e *exchange, frame []byte, answered bool) error {
	if !s.p.held.TryAcquire(int64(len(frame))) {
		e.hit.Done(fmt.Sprintf("nothing was done: there is no room to keep %d bytes", len(frame)))
		e.hit = nil
		return s.forward(ctx, e, frame, answered)
	}
	e.frame = frame
	if answered {
		return s.forward(ctx, e, frame, true)
	}
	if _, err := s.upstream.Write(frame); err != nil {
		s.abandon(e)
		return err
	}
	s.again(e, false)
	return nil
}

// again sends a request on a connection of its own, after the rule's while.
func (s *session) again(e *exchange, answered bool) {
	p, hit, frame, node := s.p, e.hit, e.frame, s.node
	e.hit, e.frame = nil, nil
	p.wg.Go(func() {
		defer p.held.Release(int64(len(frame)))
		err := pause(p.ctx, hit.Rule.After)
		said := "sent again"
		if err == nil {
			said, err = p.resend(e.request, frame, node, answered)
		}
		if err != nil {
			said = fmt.Sprint("not sent again: ", err)
		}
		hit.Done(said)
	})
}

// resend sends a request once more and tells what the broker says to it.
func (p *Proxy) resend(r protocol.Request, frame []byte, node int32, answered bool) (said string, err error) {
	c, _, err := p.reach(p.ctx, node)
	if err != nil {
		return "", err
	}
	defer p.drop(c)
	if err := p.keep(c); err != nil {
		return "", err
	}
	up := newSide(c)
	if _, err := up.Write(frame); err != nil {
		return "", err
	}
	if !answered {
		return "sent again", nil
	}
	up.within = true // so that a broker that says nothing is not waited for without end
	size, _, err := up.begin(leastAnswer, p.config.MaxFrame)
	if err != nil {
		return "", fmt.Errorf("no answer: %w", noEOF(err))
	}
	release, err := p.hold(p.ctx, size)
	if err != nil {
		return "", err
	}
	defer release()
	answer, err := up.whole(size)
	if err != nil {
		return "", err
	}
	response, err := decodeAnswer(r, answer)
	if err != nil {
		return "", err
	}
	return "sent again; the broker answered " + codesOf(response), nil
}

// refuse answers a request with an error in the broker's stead, or lets its
// answer be turned into one.
func (s *session) refuse(ctx context.Context, e *exchange, request kmsg.Request, frame []byte, answered bool) error {
	rule := e.hit.Rule
	switch {
	case !answered: // a broker that refuses a Produce with acks=0 has no other way to say so
		e.ends, e.silent = true, true
		return s.enqueue(ctx, e)
	case rule.At == "answer":
		return s.forward(ctx, e, frame, true)
	}
	response, err := refusal(request, rule.Code)
	if err == nil {
		e.local, err = protocol.AppendResponse(nil, e.request.CorrelationID, response)
	}
	if err != nil {
		e.hit.Done(fmt.Sprint("nothing was done: ", err))
		e.hit = nil
		return s.forward(ctx, e, frame, true)
	}
	return s.enqueue(ctx, e)
}

// settle ends an exchange that has no answer of the broker.
func (s *session) settle(ctx context.Context, e *exchange) error {
	if e.local != nil {
		if _, err := s.client.Write(e.local); err != nil {
			return err
		}
		s.show(e, e.local)
		if e.hit != nil {
			e.hit.Done("answered " + codeName(e.hit.Rule.Code))
		}
		s.p.settled(e.event)
		return nil
	}
	outcome := "not passed on"
	if e.hit.Rule.Act == fault.Close || e.hit.Rule.Act == fault.LoseAnswer {
		outcome = "passed on; no answer was waited for"
	}
	return s.end(ctx, e, outcome)
}

// end is the end of what a client hears on this connection.
func (s *session) end(ctx context.Context, e *exchange, outcome string) error {
	hit := e.hit
	e.hit = nil
	hit.Done(outcome)
	if hit.Rule.Then == "hang" {
		<-ctx.Done() // the client gives up, or the proxy closes
		return context.Cause(ctx)
	}
	return errFault
}

// answer passes on one answer, which has begun to arrive.
func (s *session) answer(ctx context.Context, e *exchange) error {
	size, head, err := s.upstream.begin(leastAnswer, s.p.config.MaxFrame)
	if err != nil {
		return err
	}
	if id := correlation(head); id != e.request.CorrelationID {
		return fmt.Errorf("the broker answers request %d, want %d: %w", id, e.request.CorrelationID, protocol.ErrClose)
	}
	if e.event == nil && !rewrites(e.request) {
		return s.upstream.pass(s.client, size)
	}
	release, err := s.p.hold(ctx, size)
	if err != nil {
		return err
	}
	defer release()
	frame, err := s.upstream.whole(size)
	if err != nil {
		return err
	}
	if rewrites(e.request) {
		if frame, err = s.rewrite(e.request, frame); err != nil {
			return err
		}
	}
	s.show(e, frame)
	s.p.settled(e.event)
	if e.hit != nil {
		return s.harm(ctx, e, frame)
	}
	_, err = s.client.Write(frame)
	return err
}

// harm does to an answer what its hit asks for.
func (s *session) harm(ctx context.Context, e *exchange, frame []byte) error {
	response, err := decodeAnswer(e.request, frame)
	if err != nil {
		return err
	}
	said := "the broker answered " + codesOf(response)
	switch rule := e.hit.Rule; rule.Act {
	case fault.LoseAnswer:
		return s.end(ctx, e, said+", which was lost")
	case fault.Close:
		_, err := s.client.Write(frame[:len(frame)/2])
		return errors.Join(s.end(ctx, e, said+", of which half was passed on"), err)
	case fault.Delay:
		if err := pause(ctx, rule.For); err != nil {
			return context.Cause(ctx)
		}
		said += fmt.Sprintf(", which was delayed by %v", rule.For)
	case fault.Error:
		said += ", which was made " + codeName(rule.Code)
		if !overwrite(response, rule.Code) {
			said = fmt.Sprintf("nothing was done: %s v%d has no place for an error", e.event.API(), e.request.Version)
		}
		if frame, err = protocol.AppendResponse(nil, e.request.CorrelationID, response); err != nil {
			return err
		}
	}
	if _, err := s.client.Write(frame); err != nil {
		return err
	}
	if e.hit.Rule.Act == fault.Duplicate {
		s.again(e, true)
		return nil
	}
	e.hit.Done(said)
	e.hit = nil
	return nil
}
