package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/transport"
	"github.com/oncelog/oncelog/txn"
)

// A voter is one entry of controller.quorum.voters: a node and where the others
// reach it.
type voter struct {
	id      int32
	address string
}

// parseVoters reads entries of the form id@host:port.
func parseVoters(entries []string) ([]voter, error) {
	var all []voter
	for _, text := range entries {
		id, address, ok := strings.Cut(text, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		if _, _, notAddress := net.SplitHostPort(address); !ok || err != nil || n < 0 || notAddress != nil {
			return nil, fmt.Errorf("controller.quorum.voters: %q is not of the form id@host:port", text)
		}
		if slices.ContainsFunc(all, func(v voter) bool { return v.id == int32(n) }) {
			return nil, fmt.Errorf("controller.quorum.voters: node %d is named twice", n)
		}
		all = append(all, voter{int32(n), address})
	}
	return all, nil
}

// joins says whether this node is one of several.
func (p listenerPlan) joins() bool { return len(p.voters) > 1 }

// checkVoters says what a node of several needs: its own entry, a listener that
// the others reach, and the cluster's id.
func (p listenerPlan) checkVoters(s *settings) error {
	switch {
	case !p.joins():
		return nil
	case !slices.ContainsFunc(p.voters, func(v voter) bool { return v.id == s.nodeID }):
		return fmt.Errorf("controller.quorum.voters: node.id %d is not among the voters", s.nodeID)
	case p.controller == nil:
		return errors.New("controller.quorum.voters names several nodes: listeners needs one that controller.listener.names names, such as CONTROLLER://host:port")
	case s.clusterID == "":
		return errors.New("controller.quorum.voters names several nodes: cluster.id must be set, to the same value on each")
	}
	return nil
}

// format is what this node's folder has to say.
func (p listenerPlan) format(s *settings) format {
	if !p.joins() {
		return format{NodeID: s.nodeID}
	}
	return format{NodeID: s.nodeID, ClusterID: s.clusterID}
}

// majorityPatience is how long a start waits for the other nodes before it says
// that it does.
const majorityPatience = 5 * time.Second

// awaitMajority waits until the metadata has a leader, which takes a majority of
// the voters.
func (b *Broker) awaitMajority(ctx context.Context) error {
	if !b.plan.joins() {
		return b.metadata.WaitLed(ctx)
	}
	for {
		wait, cancel := context.WithTimeout(ctx, majorityPatience)
		err := b.metadata.WaitLed(wait)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		heard := slices.DeleteFunc(b.plan.voterIDs(), func(id int32) bool { return !b.node.Hears(id) })
		b.logger.Warn("the cluster has no controller; the start waits until a majority of controller.quorum.voters is there",
			"voters", b.plan.voterAddresses(), "heard", heard)
	}
}

// joinNodes opens the listener of the nodes and says how to reach the others.
// It returns nil when this node is alone.
func (b *Broker) joinNodes(s *settings) (*transport.Config, error) {
	if !b.plan.joins() {
		return nil, nil
	}
	listener, err := b.cfg.Listen("tcp", b.plan.controller.address())
	if err != nil {
		return nil, fmt.Errorf("listeners: %s: %w", b.plan.controller.name, err)
	}
	return &transport.Config{
		ClusterID: s.clusterID, Listener: listener, Address: listener.Addr().String(), Call: b.servePeer,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return b.cfg.Dial(ctx, "tcp", address) },
	}, nil
}

// voterIDs lists the nodes that decide on the metadata.
func (p listenerPlan) voterIDs() []int32 {
	var ids []int32
	for _, v := range p.voters {
		ids = append(ids, v.id)
	}
	return ids
}

func (p listenerPlan) voterAddresses() map[int32]string {
	addresses := map[int32]string{}
	for _, v := range p.voters {
		addresses[v.id] = v.address
	}
	return addresses
}

// Calls between brokers begin with a byte that says what is asked.
const (
	peerChange byte = iota // a change of the metadata, of its leader
	peerMarker             // a transaction marker, of the partition's leader
	peerEnsure             // whether partitions are in a transaction, of its coordinator
	peerStates             // who leads partitions, of a node that holds replicas
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

// fenced says that a broker is silent, so that clients are not sent there.
func (b *Broker) fenced(node int32) bool {
	if b.node.Hears(node) {
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
