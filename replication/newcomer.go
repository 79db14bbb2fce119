package replication

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

var errNewcomer = errors.New("replication: this replica has no vote until a leader has brought it up")

// A newcomer gives no vote: a replica that by its own log is no voter of its
// group. It may have been a member before, on a log that is removed since, and
// whoever knows only of those days would get its vote for a log that lacks what
// was committed (hard-29). Raft asks nobody but voters, but by the candidate's list.
//
// It is one no longer once it holds a leader's commit index, if the entry there is
// of the leader's own term: a new leader's may be lower than what was committed.
// To wait for the entry that makes it a voter would be too long: if that leader
// dies then, the vote may be missing for a majority.

// newcomer says whether a replica that starts is one.
func newcomer(c raft.Configuration, self int32) bool { return !slices.Contains(votersOf(c), self) }

// hear takes an append of a newcomer's leader.
func (t *transport) hear(r *raft.AppendEntriesRequest, wait mesh.Wait, commit uint64) mesh.Wait {
	term := r.Term
	return func(ctx context.Context) (any, error) {
		answer, err := wait(ctx)
		if a, ok := answer.(*raft.AppendEntriesResponse); err == nil && ok && a.Success && t.store.holdsOf(commit, term) {
			t.newcomer.Store(false)
		}
		return answer, err
	}
}

// holdsOf says whether the log holds an entry of just this index and term.
func (s *store) holdsOf(index, term uint64) bool {
	if b := s.log.Boundary(); b.Index == index {
		return index > 0 && b.Term == term
	}
	row, err := s.log.Row(index)
	return err == nil && row.Term == term
}

// membersIn reads the newest members that a log knows, before raft runs on it.
func membersIn(l *log.Log) (raft.Configuration, error) {
	for index := l.LastIndex(); index >= l.FirstIndex() && index > 0; index-- {
		row, err := l.Row(index)
		if err != nil {
			return raft.Configuration{}, err
		}
		if row.Kind != log.KindConfiguration {
			continue
		}
		data, err := l.Payload(row, nil)
		if err != nil {
			return raft.Configuration{}, err
		}
		return raft.DecodeConfiguration(data), nil
	}
	if c := l.Boundary().Configuration; len(c) > 0 {
		return raft.DecodeConfiguration(c), nil
	}
	return raft.Configuration{}, nil
}
