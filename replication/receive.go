package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	mesh "github.com/oncelog/oncelog/replication/transport"
)

// receive puts another node's request in raft's line. What it returns waits for
// raft's answer.
func (t *transport) receive(req any) mesh.Wait {
	switch r := req.(type) {
	case *raft.AppendEntriesRequest:
		if err := errors.Join(checkTerms(r), checkMembers(r.Entries)); err != nil {
			return failed(err)
		}
		t.saw(r.Term)
		commit := r.LeaderCommitIndex
		t.limit(r)
		if t.newcomer.Load() || t.forgetful.Load() {
			return t.hear(r, t.line(req), commit)
		}
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
		if vote, ok := r.(*raft.RequestVoteRequest); ok { // a pre-vote's term may never be
			t.saw(vote.Term)
		}
		if err := t.muted(); err != nil {
			return failed(err)
		}
	case *mesh.Install:
		t.saw(r.Term)
		return t.install(r)
	}
	return t.line(req)
}

// line puts a request that is its own content in raft's line.
func (t *transport) line(req any) mesh.Wait {
	answer := make(chan raft.RPCResponse, 1)
	return t.enqueue(raft.RPC{Command: req, RespChan: answer}, answer)
}

// enqueue puts a request in raft's line.
func (t *transport) enqueue(rpc raft.RPC, answer <-chan raft.RPCResponse) mesh.Wait {
	select {
	case t.consumer <- rpc:
	case <-t.stop:
		return failed(errOffline)
	default:
		return failed(errBusy)
	}
	return func(ctx context.Context) (any, error) {
		select {
		case r := <-answer:
			if t.store.failed.Load() {
				return nil, errOffline // what it says may not be on disk
			}
			return r.Response, r.Error
		case <-t.stop:
			return nil, errOffline
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// checkTerms refuses entries newer than the leadership that sends them. A leader
// that was deposed may send what its successor has already put in its log; stored
// here in a term that this replica has not stored, it would bar the next start.
func checkTerms(a *raft.AppendEntriesRequest) error {
	for _, e := range a.Entries {
		if e.Term > a.Term {
			return fmt.Errorf("entry %d is of term %d, the leader that sends it of term %d", e.Index, e.Term, a.Term)
		}
	}
	return nil
}

// checkMembers refuses a list of members that raft could not read: it panics on one.
func checkMembers(entries []*raft.Log) error {
	for _, e := range entries {
		if e.Type != raft.LogConfiguration {
			continue
		}
		if _, err := decodeRaftMembers(e.Data); err != nil {
			return err
		}
	}
	return nil
}

func failed(err error) mesh.Wait {
	return func(context.Context) (any, error) { return nil, err }
}

// limit keeps raft from committing entries of its own that this request did
// not compare, and moves a request that begins below the boundary up to it:
// everything there is committed and needs no comparing (hard-22b).
func (t *transport) limit(a *raft.AppendEntriesRequest) {
	b := t.store.log.Boundary()
	if len(a.Entries) > 0 && a.PrevLogEntry < b.Index {
		drop := min(b.Index-a.PrevLogEntry, uint64(len(a.Entries)))
		a.Entries = a.Entries[drop:]
		if a.PrevLogEntry+drop == b.Index {
			a.PrevLogEntry, a.PrevLogTerm = b.Index, b.Term
		} else {
			a.PrevLogEntry, a.PrevLogTerm = 0, 0
		}
	}
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
}
