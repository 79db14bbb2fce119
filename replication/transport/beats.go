package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// beats gathers the heartbeats and idle appends of all groups to one peer for a
// short time and sends them as one frame: a thousand groups would send a thousand.
type beats struct {
	peer *Peer

	some   chan struct{} // one message: the first of a batch waits
	urgent chan struct{} // one message: one of the batch is Urgent

	mu      sync.Mutex
	waiting []beat
	ended   bool // nobody sends them any more
}

// run sends a batch some time after its first beat came, or a shorter time after its
// first urgent one, until the peer is no longer one.
func (b *beats) run() {
	for {
		select {
		case <-b.some:
			select {
			case <-time.After(b.peer.mesh.cfg.BeatInterval):
			case <-b.urgent:
				select {
				case <-time.After(urgentInterval):
				case <-b.peer.ctx.Done():
				}
			case <-b.peer.ctx.Done():
			}
			b.flush()
		case <-b.peer.ctx.Done():
			b.end()
			return
		}
	}
}

// An Idle is an append without entries that has time: it tells a follower that
// holds everything so far how much of it is committed.
type Idle struct{ *raft.AppendEntriesRequest }

// An Urgent is a heartbeat whose answer somebody waits for.
type Urgent struct{ *raft.AppendEntriesRequest }

// urgentInterval is how long urgent heartbeats wait for each other: all groups of a
// node may ask at once.
const urgentInterval = 50 * time.Millisecond

type beat struct {
	group   Group
	request *raft.AppendEntriesRequest
	done    func(any, error)
}

// A beat is 24 bytes group, 8 term, 8 index and 8 term of the entry before, 8
// commit index: all zero in a heartbeat. Its answer is 1 byte that says whether
// there is one, then that of an append.
const (
	beatSize   = groupSize + 4*8
	beatAnswer = 1 + 8 + 8 + 1 + 1
	maxBeats   = maxControl / beatSize
)

// isHeartbeat says whether an append has nothing in it but its leader's term.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return len(a.Entries) == 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 && a.LeaderCommitIndex == 0
}

// end answers what waits: there is no connection any more.
func (b *beats) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.flush()
}

func (b *beats) add(group Group, a *raft.AppendEntriesRequest, urgent bool, done func(any, error)) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		done(nil, ErrUnreachable)
		return
	}
	b.waiting = append(b.waiting, beat{group, a, done})
	first := len(b.waiting) == 1
	b.mu.Unlock()
	if first {
		signal(b.some)
	}
	if urgent {
		signal(b.urgent)
	}
}

// signal leaves a message unless there is one: who takes it finds all that came before.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flush sends what was gathered. Those that find no connection are told so.
func (b *beats) flush() {
	b.mu.Lock()
	batch := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for len(batch) > 0 {
		n := min(len(batch), maxBeats)
		b.send(batch[:n])
		batch = batch[n:]
	}
}

func (b *beats) send(batch []beat) {
	out := make([]byte, 0, len(batch)*beatSize)
	for _, one := range batch {
		out = putAppend(one.group.put(out), one.request)
	}
	b.peer.links[control].send(kindHeartbeats, Group{}, [][]byte{out}, func(_ any, body []byte, err error) {
		if err == nil && len(body) != len(batch)*beatAnswer {
			err = fmt.Errorf("node %d answered %d heartbeats with %d bytes", b.peer.node, len(batch), len(body))
		}
		for i, one := range batch {
			if err != nil {
				one.done(nil, err)
				continue
			}
			one.done(beatResult(b.peer.node, body[i*beatAnswer:(i+1)*beatAnswer]))
		}
	})
}

func beatResult(node int32, b []byte) (any, error) {
	if b[0] == 0 {
		return nil, fmt.Errorf("node %d has no answer to a heartbeat of this group", node)
	}
	return decodeAnswer(kindHeartbeats, node, b[1:])
}

// beatTimeout bounds the wait for one frame's groups: one that hangs must not
// keep the answers of the others.
const beatTimeout = 2 * time.Second

// answerBeats hands a frame of heartbeats on and returns what to answer.
func (m *Mesh) answerBeats(from int32, body []byte) func(context.Context) []byte {
	waits, h := make([]Wait, len(body)/beatSize), rpcHeader(from)
	for i := range waits {
		one := body[i*beatSize : (i+1)*beatSize]
		waits[i] = m.cfg.Receive(from, groupOf(one), readAppend(&reader{b: one[groupSize:]}, h))
	}
	return func(ctx context.Context) []byte {
		ctx, cancel := context.WithTimeout(ctx, beatTimeout)
		defer cancel()
		out := make([]byte, len(waits)*beatAnswer)
		for i, wait := range waits {
			answer, err := wait(ctx)
			if err != nil {
				continue // the byte that says so is 0
			}
			b, err := encodeAnswer(answer)
			if at := out[i*beatAnswer : (i+1)*beatAnswer]; err == nil && len(b) == len(at)-1 {
				at[0] = 1
				copy(at[1:], b)
			}
		}
		return out
	}
}
