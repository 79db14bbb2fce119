package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// How a transfer of leadership is bounded (hard-03).
const (
	transferLag   = 64                     // entries the target may lack when appends are parked
	transferCatch = 500 * time.Millisecond // for the target to get them
	transferMove  = time.Second            // for the leadership to move then
)

// Transfer hands the leadership to another voter that is nearly caught up.
// Appends are parked meanwhile; when the leadership moves they are refused with
// NOT_LEADER_OR_FOLLOWER, and when it does not they go on here.
//
// It takes the turn, so that nothing is proposed while it runs, waits until the
// target holds the whole log and tells it to elect itself. Raft's own transfer
// refuses some proposals and takes later ones of the same term (hard-03).
func (p *Partition) Transfer(ctx context.Context, to int32) error {
	g := p.group.Load()
	lead, err := p.order.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer p.order.runTurn()
	if lead.group != g || g.transport.peer(to).match+transferLag < g.log.LastIndex() {
		return fmt.Errorf("transfer of %v to node %d: it is not caught up", p.id, to)
	}
	last := g.log.LastIndex()
	caughtUp := func() bool { return g.transport.peer(to).match >= last }
	if err := p.until(ctx, transferCatch, lead, caughtUp); err != nil {
		return fmt.Errorf("transfer of %v to node %d: %w", p.id, to, err)
	}
	p.yielded.Store(time.Now().UnixNano())
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}
	if _, err := request[raft.TimeoutNowResponse](g.transport, serverID(to), &raft.TimeoutNowRequest{RPCHeader: header}); err != nil {
		return fmt.Errorf("transfer of %v to node %d: %w", p.id, to, err)
	}
	never := func() bool { return false }
	if err := p.until(ctx, transferMove, lead, never); !errors.Is(err, errMoved) {
		return fmt.Errorf("transfer of %v to node %d: %w", p.id, to, err)
	}
	return nil
}

var errMoved = errors.New("the leadership moved")

// until waits for a condition, which a follower's answer or a commit may
// bring. It ends with errMoved when lead is over.
func (p *Partition) until(ctx context.Context, limit time.Duration, lead *reign, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		progress := p.order.progressed()
		if p.order.over(lead) {
			return errMoved
		}
		if holds() {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
