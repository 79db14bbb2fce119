package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/protocol"
)

const (
	keyProduce       = 0
	keySASLHandshake = 17
	keyApiVersions   = 18
	// maxInFlight bounds the requests of a connection that wait for their answer.
	maxInFlight = 1024
	leastFrame  = 8 // a request's key, version and correlation id
	leastAnswer = 4 // a correlation id
)

// A session is a client's connection and the one to a broker that belongs to it.
//
// requests runs in the session's own goroutine, answers in a second; a third waits
// for bytes of the broker, so that the end of its connection is heard while nothing
// is due. The queue goes from requests to answers, in the order of requests.
type session struct {
	p                *Proxy
	id               int64
	node             int32
	client, upstream *side
	queue            chan *exchange
	arrived          chan error    // bytes of the broker are there, or never will be
	next             chan struct{} // they were read
}

// An exchange is a request and what is to become of its answer.
type exchange struct {
	request protocol.Request
	local   []byte // the answer, where the proxy gives it
	hit     *fault.Hit
	event   *fault.Event // nil if nobody asked for it
	frame   []byte       // of a request that is sent again
	silent  bool         // no answer of the broker is waited for
	ends    bool         // nothing on this connection is passed on after it
}

func newSession(p *Proxy, client, upstream net.Conn, node int32) *session {
	return &session{
		p: p, id: p.lastConn.Add(1), node: node, client: newSide(client), upstream: newSide(upstream),
		queue: make(chan *exchange, maxInFlight), arrived: make(chan error), next: make(chan struct{}),
	}
}

// run carries frames until one side ends, and tells why.
func (s *session) run() error {
	ctx, cancel := context.WithCancelCause(s.p.ctx)
	var tasks sync.WaitGroup
	end := func(err error) {
		cancel(err) // the first cause stays
		_ = s.client.Close()
		_ = s.upstream.Close()
	}
	tasks.Go(func() { s.listen(ctx) })
	tasks.Go(func() { end(s.answers(ctx)) })
	end(s.requests(ctx))
	tasks.Wait()
	close(s.queue)
	for e := range s.queue {
		s.abandon(e)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errFault) {
		return cause
	}
	return nil // the hit was logged
}

// errFault ends a session because a rule says so.
var errFault = errors.New("a fault ends the connection")

// requests passes on what the client asks.
func (s *session) requests(ctx context.Context) error {
	for {
		size, head, err := s.client.begin(leastFrame, s.p.config.MaxFrame)
		if err != nil {
			return err
		}
		request, body, err := protocol.ParseRequest(head)
		switch {
		case err != nil && request.Key == keyApiVersions && request.Version > 0:
			if err := s.refuseVersion(ctx, request, size); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case request.Key == keySASLHandshake && request.Version == 0:
			return fmt.Errorf("SaslHandshake v0, want v1: what follows v0 are no requests: %w", protocol.ErrClose)
		}
		e := &exchange{request: request}
		look := s.p.faults.Wants(request.Key) || s.p.watched()
		answered, known := expects(request, body)
		if look || !known {
			err = s.inspect(ctx, e, size)
		} else {
			if answered {
				err = s.enqueue(ctx, e)
			}
			if err == nil {
				err = s.client.pass(s.upstream, size)
			}
		}
		if err != nil {
			return err
		}
		if e.ends {
			// What the client sends from now on goes nowhere.
			_, err := io.Copy(io.Discard, s.client.in)
			return err
		}
	}
}

// expects says whether a request gets an answer: only a Produce with acks=0 gets
// none. Not known: the beginning of the body does not tell.
func expects(r protocol.Request, body []byte) (answered, known bool) {
	if r.Key != keyProduce {
		return true, true
	}
	b := body
	if r.Version >= 3 { // a transactional id comes first, compact from v9 on
		var size int
		if r.Version >= 9 {
			if len(b) == 0 || b[0] >= 0x80 {
				return false, false
			}
			size, b = int(b[0])-1, b[1:]
		} else {
			if len(b) < 2 {
				return false, false
			}
			size, b = int(int16(b[0])<<8|int16(b[1])), b[2:]
		}
		if size > len(b) {
			return false, false
		}
		b = b[max(size, 0):]
	}
	if len(b) < 2 {
		return false, false
	}
	return b[0] != 0 || b[1] != 0, true
}

// refuseVersion answers an ApiVersions of a version that cannot be parsed as a
// broker does to whom it is new (KIP-511); the client asks again.
func (s *session) refuseVersion(ctx context.Context, r protocol.Request, size int) error {
	if _, err := io.CopyN(io.Discard, s.client.in, int64(4+size)); err != nil {
		return noEOF(err)
	}
	if err := s.client.end(); err != nil {
		return err
	}
	response := kmsg.NewPtrApiVersionsResponse()
	response.ErrorCode = kerr.UnsupportedVersion.Code
	own := kmsg.NewApiVersionsResponseApiKey()
	own.ApiKey, own.MaxVersion = keyApiVersions, new(kmsg.ApiVersionsRequest).MaxVersion()
	response.ApiKeys = append(response.ApiKeys, own)
	local, err := protocol.AppendResponse(nil, r.CorrelationID, response)
	if err != nil {
		return err
	}
	return s.enqueue(ctx, &exchange{request: r, local: local})
}

func (s *session) enqueue(ctx context.Context, e *exchange) error {
	select {
	case s.queue <- e:
		return nil
	case <-ctx.Done():
		s.abandon(e)
		return context.Cause(ctx)
	}
}

// inspect reads a whole request, shows it to rules and watchers, and does to it
// what they say.
func (s *session) inspect(ctx context.Context, e *exchange, size int) error {
	release, err := s.p.hold(ctx, size)
	if err != nil {
		return err
	}
	defer release()
	frame, err := s.client.whole(size)
	if err != nil {
		return err
	}
	request, body, err := protocol.ParseRequest(frame[4:])
	if err != nil {
		return err
	}
	message := kmsg.RequestForKey(request.Key)
	message.SetVersion(request.Version)
	if err := protocol.Decode(message, body); err != nil {
		return err
	}
	e.event = &fault.Event{Key: request.Key, Version: request.Version, Conn: s.id, Node: s.node, ClientID: request.ClientName()}
	e.event.Describe(message, s.p.topic)
	e.hit = s.p.faults.Decide(*e.event)
	s.p.show(Message{At: time.Now(), Conn: s.id, Peer: s.client.RemoteAddr().String(), Size: size, Raw: frame[4:], Event: e.event, Hit: e.hit})
	produce, ok := message.(*kmsg.ProduceRequest)
	answered := !ok || produce.Acks != 0
	if e.hit == nil {
		return s.forward(ctx, e, frame, answered)
	}
	s.p.logger.Info("fault hits", "rule", e.hit.RuleID, "act", e.hit.Act, "api", e.event.API(), "client", e.event.ClientID, "node", e.event.Node)
	return s.act(ctx, e, message, frame, answered)
}

// forward queues an exchange, then sends its request: whoever reads an answer
// finds the exchange there.
func (s *session) forward(ctx context.Context, e *exchange, frame []byte, answered bool) error {
	if answered {
		if err := s.enqueue(ctx, e); err != nil {
			return err
		}
	}
	_, err := s.upstream.Write(frame)
	return err
}

// listen tells answers of each frame that begins, and of the end.
func (s *session) listen(ctx context.Context) {
	for {
		_, err := s.upstream.in.Peek(4)
		select {
		case s.arrived <- err:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case <-s.next:
		case <-ctx.Done():
			return
		}
	}
}

// answers passes on what the broker says, in the order of requests.
func (s *session) answers(ctx context.Context) error {
	there := false // bytes of the broker
	for {
		e, err := s.due(ctx, &there)
		if err != nil {
			return err
		}
		if err := s.serve(ctx, e, &there); err != nil {
			s.abandon(e)
			return err
		}
	}
}

// serve gives the client the answer of one exchange.
func (s *session) serve(ctx context.Context, e *exchange, there *bool) error {
	if e.local != nil || e.silent {
		return s.settle(ctx, e)
	}
	if !*there {
		select {
		case err := <-s.arrived:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := s.answer(ctx, e); err != nil {
		return err
	}
	*there = false
	select {
	case s.next <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abandon is for an exchange that nothing comes of any more.
func (s *session) abandon(e *exchange) {
	if e.hit != nil {
		e.hit.Done("the connection ended first")
	}
	if e.frame != nil {
		s.p.held.Release(int64(len(e.frame)))
	}
	e.hit, e.frame = nil, nil
}

// due waits for the next exchange, or for the end. The exchange that the broker's
// bytes belong to is in the queue before its request is sent.
func (s *session) due(ctx context.Context, there *bool) (*exchange, error) {
	if !*there {
		select {
		case e := <-s.queue:
			return e, nil
		case err := <-s.arrived:
			if err != nil {
				return nil, err
			}
			*there = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	select {
	case e := <-s.queue:
		return e, nil
	default:
		return nil, fmt.Errorf("the broker sends what nobody asked for: %w", protocol.ErrClose)
	}
}
