package replication

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"

	mesh "github.com/oncelog/oncelog/replication/transport"
)

// pipelineDepth is how many appends to one follower are under way. More gained
// nothing when it was measured, one costs throughput.
const pipelineDepth = 2

// A pipeline sends appends to one follower without waiting for each answer. The
// first answer that is no success breaks it: raft stops reading then, and must
// not be left waiting in AppendEntries.
type pipeline struct {
	t      *transport
	id     raft.ServerID
	room   chan struct{} // a token for each append under way
	ready  chan raft.AppendFuture
	broken chan struct{} // closed at the first failure, and by Close

	mu     sync.Mutex
	dead   bool
	flying []*appending // in the order in which they were sent, but for idle ones
}

// An appending is one append of a pipeline.
type appending struct {
	start    time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	done     chan struct{}
	err      error // once done is closed
	landed   bool  // guarded by pipeline.mu
	idle     bool  // it travels with the heartbeats and keeps no other waiting
}

var _ raft.AppendFuture = (*appending)(nil)

// Error waits for the answer.
func (f *appending) Error() error {
	<-f.done
	return f.err
}

// Start is when it was sent.
func (f *appending) Start() time.Time { return f.start }

// Request is what was sent.
func (f *appending) Request() *raft.AppendEntriesRequest { return f.request }

// Response is the answer, once Error returned nil.
func (f *appending) Response() *raft.AppendEntriesResponse { return f.response }

// AppendEntriesPipeline begins a pipeline.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	if t.links == nil {
		return nil, errNoLink
	}
	return &pipeline{
		t: t, id: id, room: make(chan struct{}, pipelineDepth),
		ready: make(chan raft.AppendFuture, 8*pipelineDepth), broken: make(chan struct{}),
	}, nil
}

// AppendEntries sends one more. Like its namesake it may shorten args. One that
// has nothing to tell is not sent, and raft is given no answer to it.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.t.rest(p.id, args, p.broken) {
		return nil, nil // raft takes the future from Consumer only
	}
	select {
	case p.room <- struct{}{}:
	case <-p.broken:
		return nil, errPipelineBroken
	case <-p.t.stop:
		return nil, errOffline
	}
	f := &appending{start: time.Now(), request: args, response: resp, done: make(chan struct{}), idle: p.t.idle(p.id, args)}
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return nil, errPipelineBroken
	}
	send := p.t.sendIdle
	if !f.idle {
		p.flying = append(p.flying, f)
		send = p.t.sendAppend
	}
	p.mu.Unlock()
	send(p.id, args, func(answer *raft.AppendEntriesResponse, err error) {
		if err == nil {
			*resp = *answer
		}
		p.land(f, err)
	})
	return f, nil
}

// land hands an answer on, after those of what was sent before it. Nothing follows
// from where an idle one's stands among them: it brings raft no further.
func (p *pipeline) land(f *appending, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.err, f.landed = err, true
	if err != nil || !f.response.Success {
		p.fail()
	}
	close(f.done)
	if f.idle {
		p.hand(f)
	}
	for len(p.flying) > 0 && p.flying[0].landed {
		p.hand(p.flying[0])
		p.flying = p.flying[1:]
	}
}

// hand gives an answer to raft and makes room for another append.
func (p *pipeline) hand(f *appending) {
	select {
	case p.ready <- f:
	default: // raft reads no more
		p.fail()
	}
	<-p.room
}

func (p *pipeline) fail() {
	if !p.dead {
		p.dead = true
		close(p.broken)
	}
}

// Consumer is where raft takes the answers from.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// Close lets nothing more be sent. What is under way still tells the transport
// how far the follower came.
func (p *pipeline) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail()
	return nil
}

// idle says whether an append has time: it has no entries and follows what the
// follower is known to hold, so nothing that is under way must come before it. The
// heartbeats' connection is another, and keeps no order with that of the entries.
func (t *transport) idle(id raft.ServerID, args *raft.AppendEntriesRequest) bool {
	if t.prompt || len(args.Entries) > 0 || args.PrevLogEntry == 0 {
		return false
	}
	node, ok := nodeOf(id)
	return ok && t.heard(node).match >= args.PrevLogEntry
}

// sendIdle sends an append for which idle holds.
func (t *transport) sendIdle(id raft.ServerID, args *raft.AppendEntriesRequest, done func(*raft.AppendEntriesResponse, error)) {
	sent := time.Now()
	post(t, id, mesh.Idle{AppendEntriesRequest: args}, func(answer *raft.AppendEntriesResponse, err error) {
		t.learn(id, args, answer, sent, err)
		done(answer, err)
	})
}
