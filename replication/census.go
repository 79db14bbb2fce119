package replication

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A word is what a node says of a group of which another doubts the leader.
type word struct {
	open   bool   // it has the group open
	votes  bool   // it would give a vote
	forgot bool   // it may have forgotten what it answered for
	leader int32  // who leads by its word, -1: nobody that it hears
	epoch  int32  // the leader's
	ready  bool   // it leads itself and serves
	term   uint64 // of its last entry
	index  uint64 // of its last entry
}

// A poll is what the voters of one group said. Those that gave no word are not
// in it.
type poll struct {
	group    *Partition
	voters   []int32
	words    map[int32]word
	own      word   // of this replica, before the others were asked
	term     uint64 // likewise raft's
	believed int32  // likewise the leader, -1 for none
}

// stale says that something happened while the others were asked: their words
// must not be held against what this replica is now.
func (q *poll) stale() bool {
	p := q.group
	return p.leads() || p.Leadership().Leader != q.believed || p.group.Load().raft.CurrentTerm() != q.term
}

// askTimeout bounds the wait for words. The nodes are asked together.
const askTimeout = 500 * time.Millisecond

// maxAsked bounds the groups of one question.
const maxAsked = 100_000

// census asks the other voters of groups that are there, one call to a node.
func (n *Node) census(ctx context.Context, groups []*Partition) []*poll {
	polls := make([]*poll, len(groups))
	byNode := map[int32][]*poll{}
	for i, p := range groups {
		polls[i] = &poll{
			group: p, voters: p.inPreference(), words: map[int32]word{},
			own: p.word(), term: p.group.Load().raft.CurrentTerm(), believed: p.Leadership().Leader,
		}
		for _, v := range polls[i].voters {
			if v != n.cfg.NodeID && n.detector.alive(v) {
				byNode[v] = append(byNode[v], polls[i])
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for v, asked := range byNode {
		asking.Go(func() {
			words, err := n.askWords(ctx, v, asked)
			if err != nil {
				n.cfg.Logger.Debug("a node did not say who leads", "peer", v, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, q := range asked {
				q.words[v] = words[i]
			}
		})
	}
	asking.Wait()
	return polls
}

// A question names groups by 16 bytes topic id and 4 partition. The answer is,
// for each, 1 byte of flags, 4 leader, 4 epoch, 8 term and 8 index.
const (
	askedSize = 16 + 4
	wordSize  = 1 + 4 + 4 + 8 + 8

	wordOpen   = 1 << 0
	wordReady  = 1 << 1
	wordVotes  = 1 << 2
	wordForgot = 1 << 3
)

func (w word) put(b []byte) []byte {
	var flags byte
	if w.open {
		flags |= wordOpen
	}
	if w.ready {
		flags |= wordReady
	}
	if w.votes {
		flags |= wordVotes
	}
	if w.forgot {
		flags |= wordForgot
	}
	b = binary.BigEndian.AppendUint32(append(b, flags), uint32(w.leader))
	b = binary.BigEndian.AppendUint32(b, uint32(w.epoch))
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, w.term), w.index)
}

func wordOf(b []byte) word {
	be := binary.BigEndian
	return word{
		open: b[0]&wordOpen != 0, ready: b[0]&wordReady != 0, votes: b[0]&wordVotes != 0, forgot: b[0]&wordForgot != 0,
		leader: int32(be.Uint32(b[1:])), epoch: int32(be.Uint32(b[5:])), term: be.Uint64(b[9:]), index: be.Uint64(b[17:]),
	}
}

// askWords asks one node about groups.
func (n *Node) askWords(ctx context.Context, node int32, asked []*poll) ([]word, error) {
	peer := n.mesh.Peer(node)
	if peer == nil {
		return nil, errNoLink
	}
	words := make([]word, 0, len(asked))
	for len(words) < len(asked) {
		part := asked[len(words):min(len(words)+maxAsked, len(asked))]
		out := []byte{callLeaders}
		for _, q := range part {
			out = append(out, q.group.id.TopicID[:]...)
			out = binary.BigEndian.AppendUint32(out, uint32(q.group.id.Partition))
		}
		answer, err := peer.Call(ctx, out)
		if err != nil {
			return nil, err
		}
		if len(answer) != wordSize*len(part) {
			return nil, fmt.Errorf("node %d answered for %d groups with %d bytes, want %d", node, len(part), len(answer), wordSize*len(part))
		}
		for ; len(answer) > 0; answer = answer[wordSize:] {
			words = append(words, wordOf(answer))
		}
	}
	return words, nil
}

// sayWords answers askWords. Who asks has the group open, which this node may
// have waited for.
func (n *Node) sayWords(from int32, body []byte) ([]byte, error) {
	if len(body)%askedSize != 0 || len(body)/askedSize > maxAsked {
		return nil, fmt.Errorf("question of %d bytes, want a multiple of %d", len(body), askedSize)
	}
	out, leaderless := make([]byte, 0, len(body)/askedSize*wordSize), false
	for ; len(body) > 0; body = body[askedSize:] {
		id := PartitionID{TopicID: [16]byte(body), Partition: int32(binary.BigEndian.Uint32(body[16:]))}
		w := word{leader: -1, epoch: -1}
		if p := n.Partition(id); p != nil && p.knows(from) {
			if p.Leadership().Leader == from { // who leads does not ask; its disk may have failed
				p.order.doubt(from)
			}
			w = p.word()
			p.group.Load().transport.opened()
			leaderless = leaderless || w.leader < 0
		}
		out = w.put(out)
	}
	if leaderless {
		n.detector.poke()
	}
	return out, nil
}

// knows says whether a node is a member of the group. One that was taken off it
// must not take its leader for its own: it gets nothing from it.
func (p *Partition) knows(node int32) bool {
	return p.group.Load().memberIs(node, func(member bool, _ raft.ServerSuffrage) bool { return member })
}

// word is what this replica says. Its own leadership counts from the moment it
// was elected; a leader whose node this one does not hear is as good as none.
func (p *Partition) word() word {
	l, self := p.Leadership(), p.node.cfg.NodeID
	g := p.group.Load()
	log, t := g.log, g.transport
	w := word{open: true, votes: p.votes() && t.muted() == nil, forgot: t.forgetful.Load(), leader: l.Leader, epoch: l.Epoch, ready: l.Ready, term: log.LastTerm(), index: log.LastIndex()}
	switch {
	case p.leads():
		w.leader = self
	case w.leader == self || w.leader >= 0 && !p.node.detector.alive(w.leader):
		w.leader = -1
	}
	return w
}
