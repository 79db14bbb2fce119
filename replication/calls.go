package replication

import (
	"context"
	"fmt"
	"slices"
)

// Calls between nodes begin with a byte that says whose they are.
const (
	callLeaders byte = iota // who leads these groups
	callBroker              // the broker's own
	callPiece               // bytes of a compacted log
)

// answerCalls answers the node's own questions and hands on the broker's.
func (n *Node) answerCalls(broker func(context.Context, int32, []byte) ([]byte, error)) func(context.Context, int32, []byte) ([]byte, error) {
	return func(ctx context.Context, from int32, body []byte) ([]byte, error) {
		switch {
		case len(body) > 0 && body[0] == callLeaders:
			return n.sayWords(from, body[1:])
		case len(body) > 0 && body[0] == callBroker && broker != nil:
			return broker(ctx, from, body[1:])
		case len(body) > 0 && body[0] == callPiece:
			return n.givePiece(body[1:])
		default:
			return nil, fmt.Errorf("call of %d bytes is none that this node knows", len(body))
		}
	}
}

// Call sends a request of this node's broker to another's and returns the answer.
func (n *Node) Call(ctx context.Context, to int32, request []byte) ([]byte, error) {
	if n.mesh == nil {
		return nil, errNoLink
	}
	peer := n.mesh.Peer(to)
	if peer == nil {
		return nil, fmt.Errorf("node %d is not a peer: %w", to, errNoLink)
	}
	return peer.Call(ctx, slices.Concat([]byte{callBroker}, request))
}

// Visit is Call to whichever node listens at an address.
//
// Errors: transport.ErrRefused.
func (n *Node) Visit(ctx context.Context, address string, request []byte) ([]byte, error) {
	if n.mesh == nil {
		return nil, errNoLink
	}
	return n.mesh.Visit(ctx, address, slices.Concat([]byte{callBroker}, request))
}
