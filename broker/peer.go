package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/txn"
)

// Calls between brokers begin with a byte that says what is asked.
const (
	peerChange   byte = iota // a change of the metadata, of its leader
	peerMarker               // a transaction marker, of the partition's leader
	peerEnsure               // whether partitions are in a transaction, of its coordinator
	peerStates               // who leads partitions, of a node that holds replicas
	peerJoin                 // to be made known, of anyone
	peerMoves                // to bring partitions to other voters, of the node that leads them
	peerYields               // to hand leaderships over, of the node that has them
	peerServed               // up to where it acts on the metadata, of anyone
	peerStanding             // how a replica stands, of the node that holds it
	peerQuorum               // how far the members of the metadata's group are, of its leader
	peerOpened               // to answer when a new topic is served
)

// A peerError is an error as it travels between brokers.
type peerError struct {
	Code    int16  `json:"code"`
	Message string `json:"message,omitempty"`
}

func peerErrorOf(err error) peerError {
	if err == nil {
		return peerError{}
	}
	return peerError{protocol.Code(err), err.Error()}
}

func (p peerError) err(node int32) error {
	if p.Code == 0 {
		return nil
	}
	return fmt.Errorf("node %d: %s: %w", node, p.Message, kerr.ErrorForCode(p.Code))
}

// servePeer answers another broker.
func (b *Broker) servePeer(ctx context.Context, from int32, body []byte) ([]byte, error) {
	if len(body) > 0 && body[0] == peerOpened && !b.following.Load() {
		return nil, fmt.Errorf("node %d is starting: nobody waits for it", b.nodeID())
	}
	select {
	case <-b.serving:
	case <-ctx.Done():
		return nil, fmt.Errorf("node %d is starting: %w", b.nodeID(), ctx.Err())
	case <-b.closed:
		return nil, fmt.Errorf("node %d is closing", b.nodeID())
	}
	if len(body) == 0 {
		return nil, errors.New("a call without a word")
	}
	switch what, body := body[0], body[1:]; what {
	case peerChange:
		return b.metadata.Serve(ctx, body)
	case peerMarker:
		return answerPeer(body, func(m txn.Marker) peerError { return peerErrorOf(markers{b, b.markerSessions}.writeHere(ctx, m)) })
	case peerEnsure:
		return answerPeer(body, func(r txn.EnsureRequest) []peerError {
			var out []peerError
			for _, err := range b.txns.Ensure(ctx, r) {
				out = append(out, peerErrorOf(err))
			}
			return out
		})
	case peerStates:
		return answerPeer(body, b.peerStatesHere)
	case peerJoin:
		return answerPeer(body, func(q joinRequest) joinAnswer { return b.welcome(ctx, from, q) })
	case peerMoves:
		return answerPeer(body, func(all []partitionMove) []peerError { return b.moveHere(ctx, all) })
	case peerStanding:
		return answerPeer(body, b.standingHere)
	case peerYields:
		return answerPeer(body, func(all []partitionYield) []peerError { return b.yieldHere(ctx, all) })
	case peerServed:
		return answerPeer(body, func(struct{}) int64 { return b.topics.load().image.Offset })
	case peerQuorum:
		return answerPeer(body, func(struct{}) quorumState { return b.quorumHere() })
	case peerOpened:
		return answerPeer(body, func(q servedQuestion) peerError { return peerErrorOf(b.topics.waitReady(ctx, q.Topic, q.Partitions)) })
	default:
		return nil, fmt.Errorf("node %d asks for %d, which this node does not know: is it of a newer version?", from, what)
	}
}

func answerPeer[Q, A any](body []byte, answer func(Q) A) ([]byte, error) {
	var q Q
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	return json.Marshal(answer(q))
}

// askPeer asks another broker.
//
// Errors: NETWORK_EXCEPTION when it does not answer.
func askPeer[Q, A any](ctx context.Context, b *Broker, node int32, what byte, question Q) (answer A, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	out, err := b.node.Call(ctx, node, append([]byte{what}, body...))
	if err != nil {
		return answer, fmt.Errorf("%w: %w", err, kerr.NetworkException)
	}
	return answer, json.Unmarshal(out, &answer)
}

// forwardChange asks the metadata's leader.
func (b *Broker) forwardChange(ctx context.Context, node int32, request []byte) ([]byte, error) {
	return b.node.Call(ctx, node, append([]byte{peerChange}, request...))
}

// isHere says whether this node holds a replica of a partition.
func (t *topic) isHere(partition int, self int32) bool {
	return slices.Contains(t.Partitions[partition].Replicas, self)
}

// getToKnow is how long a node that starts takes the others for alive before it
// has heard them: a client that it told of itself alone would ask nobody else.
const getToKnow = time.Second

// fenced says that a broker is silent, so that clients are not sent there. A node
// that hears no majority fences nobody: a client that it told of itself alone
// would ask it for ever, while the others go on without it.
func (b *Broker) fenced(node int32) bool {
	if b.node.Hears(node) {
		return false
	}
	all := b.image().Brokers()
	heard := 0
	for _, other := range all {
		if b.node.Hears(other.ID) {
			heard++
		}
	}
	if heard <= len(all)/2 {
		return false
	}
	mesh := b.node.Mesh()
	if mesh == nil {
		return true
	}
	peer := mesh.Peer(node)
	if peer == nil {
		return true
	}
	age, ever := peer.LastContact()
	return ever || age > getToKnow
}

// inSync is what this node knows of a partition's in-sync replicas: on another
// node than the leader's, those whose nodes answer.
func (b *Broker) inSync(t *topic, partition int) []int32 {
	p := t.partitions[partition]
	if p != nil && p.Leadership().Ready {
		return p.InSync()
	}
	in := []int32{}
	for _, node := range t.Partitions[partition].Replicas {
		if b.node.Hears(node) {
			in = append(in, node)
		}
	}
	return in
}

// controllerID is the node that leads the metadata; this one while none is known.
func (b *Broker) controllerID() int32 {
	if leader := b.metadata.Leader(); leader >= 0 {
		return leader
	}
	return b.nodeID()
}
