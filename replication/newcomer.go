package replication

import (
	"errors"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
)

var errNewcomer = errors.New("replication: this replica has no vote until a leader has brought it up")

// A newcomer gives no vote: a replica that by its own log is no voter of its
// group. It may have been a member before, on a log that is removed since, and
// whoever knows only of those days would get its vote for a log that lacks what
// was committed (hard-29). Raft asks nobody but voters, but by the candidate's list.
//
// It is one no longer when a leader has brought it up (see transport.hear). To wait
// for the entry that makes it a voter would be too long: if that leader dies then,
// the vote may be missing for a majority.

// newcomer says whether a replica that starts is one.
func newcomer(c raft.Configuration, self int32) bool { return !slices.Contains(votersOf(c), self) }

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
		return decodeMembers(data)
	}
	if c := l.Boundary().Configuration; len(c) > 0 {
		return decodeMembers(c)
	}
	return raft.Configuration{}, nil
}
