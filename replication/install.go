package replication

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// How the files of a compacted log travel: a follower asks its leader for one
// piece after the other, so at most a piece for each of maxStaging partitions is
// under way to a node, whatever there is to be brought.
const (
	maxStaging   = 2
	pieceTimeout = 10 * time.Second

	// pullRest is how long a leader does not compact after a follower asked for
	// a piece: a compaction would take the files away.
	pullRest = 2 * pieceTimeout
)

// tasks counts what must end before its owner does.
type tasks struct {
	mu   sync.Mutex
	over bool
	all  sync.WaitGroup
}

// begin is false when the owner ends. done must follow.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.all.Add(1)
	}
	return !t.over
}

func (t *tasks) done() { t.all.Done() }

// end lets nothing more begin.
func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// install answers a snapshot. One of a compacted log waits until the files that
// belong to it are here; meanwhile raft on both sides goes on, and the leader's
// request just takes its time. A snapshot of what the log holds is answered here, as
// raft would throw away all that follows it (hard-22).
func (t *transport) install(r *mesh.Install) mesh.Wait {
	if len(r.State) > maxSnapshot {
		return failed(fmt.Errorf("snapshot of %d bytes, want at most %d", len(r.State), maxSnapshot))
	}
	return func(ctx context.Context) (any, error) {
		if !t.installs.begin() {
			return nil, errOffline
		}
		defer t.installs.done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		t.installs.all.Go(func() {
			select {
			case <-t.stop:
				cancel()
			case <-ctx.Done():
			}
		})
		select {
		case t.staging <- struct{}{}:
			defer func() { <-t.staging }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if t.store.holds(r.LastLogIndex, r.LastLogTerm) && r.Term == t.term() {
			return &raft.InstallSnapshotResponse{Term: r.Term, Success: true}, nil
		}
		if err := t.stage(ctx, r); err != nil {
			return nil, err
		}
		answer := make(chan raft.RPCResponse, 1)
		return t.enqueue(raft.RPC{Command: &r.InstallSnapshotRequest, Reader: bytes.NewReader(r.State), RespChan: answer}, answer)(ctx)
	}
}

// stage checks a snapshot and brings its files here, if it has any.
func (t *transport) stage(ctx context.Context, r *mesh.Install) error {
	snapshot, err := log.DecodeSnapshot(r.State)
	if err != nil {
		return err
	}
	if err := checkMembers([]*raft.Log{
		{Type: raft.LogConfiguration, Data: r.Configuration}, {Type: raft.LogConfiguration, Data: snapshot.Boundary.Configuration},
	}); err != nil {
		return err
	}
	b := snapshot.Boundary
	if max(b.Term, r.LastLogTerm) > max(r.Term, t.term()) {
		return fmt.Errorf("snapshot of term %d, the leader that sends it is of term %d", max(b.Term, r.LastLogTerm), r.Term) // see checkTerms
	}
	if !snapshot.HasFiles() {
		return nil
	}
	if b.Index != r.LastLogIndex || b.Term != r.LastLogTerm {
		return fmt.Errorf("snapshot of index %d, term %d: its content is of index %d, term %d", r.LastLogIndex, r.LastLogTerm, b.Index, b.Term)
	}
	from, ok := nodeOf(raft.ServerID(r.ID))
	if !ok {
		return fmt.Errorf("snapshot from server %q, which is no node", r.ID)
	}
	select {
	case t.throttle.staging <- struct{}{}:
		defer func() { <-t.throttle.staging }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return t.store.log.Stage(ctx, snapshot, func(ctx context.Context, p log.Piece) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, pieceTimeout)
		defer cancel()
		return t.links.pull(ctx, from, encodePiece(t.id, p))
	})
}

// A question for a piece is 16 bytes topic id, 4 partition, 8 index and 8 term
// of the boundary, 8 base offset of the segment, 1 file, 8 position. The answer
// is the bytes.
const pieceSize = 16 + 4 + 8 + 8 + 8 + 1 + 8

func encodePiece(id PartitionID, p log.Piece) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(append([]byte(nil), id.TopicID[:]...), uint32(id.Partition))
	b = be.AppendUint64(be.AppendUint64(b, p.Index), p.Term)
	b = append(be.AppendUint64(b, uint64(p.Segment)), byte(p.File))
	return be.AppendUint64(b, uint64(p.Position))
}

func decodePiece(b []byte) (id PartitionID, p log.Piece, err error) {
	if len(b) != pieceSize {
		return id, p, fmt.Errorf("question for a piece of %d bytes, want %d", len(b), pieceSize)
	}
	be := binary.BigEndian
	id = PartitionID{TopicID: [16]byte(b), Partition: int32(be.Uint32(b[16:]))}
	b = b[20:]
	p = log.Piece{Index: be.Uint64(b), Term: be.Uint64(b[8:]), Segment: int64(be.Uint64(b[16:])), File: log.PrefixFile(b[24]), Position: int64(be.Uint64(b[25:]))}
	return id, p, nil
}

// givePiece answers a follower that brings a compacted log to its node.
func (n *Node) givePiece(body []byte) ([]byte, error) {
	id, piece, err := decodePiece(body)
	if err != nil {
		return nil, err
	}
	p := n.Partition(id)
	if p == nil {
		return nil, fmt.Errorf("%v: %w", id, errOffline)
	}
	p.pulled.Store(time.Now().UnixNano())
	return p.Log().ReadPiece(piece)
}

// givesPieces says whether a follower brings this replica's files to its node.
func (p *Partition) givesPieces() bool {
	return time.Since(time.Unix(0, p.pulled.Load())) < pullRest
}
