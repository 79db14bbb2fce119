package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/planted"
)

// A command is what the leader proposes: one entry, with the term and the
// ticket under which it was checked (hard-02).
type command struct {
	kind   log.Kind
	term   uint64
	ticket uint64
	data   []byte
}

const (
	replicatedMark = 1  // bytes of Extensions: the kind
	proposedMark   = 17 // bytes of Extensions: kind, term, ticket
)

// marks are the Extensions of a stored command, one for each kind. They travel
// to followers in place of the ticket.
var marks = func() (m [16][]byte) {
	for k := range m {
		m[k] = []byte{byte(k)}
	}
	return m
}()

// boundaryMark is the Extensions of the boundary. Raft reads it for its term; the
// entry that was there may have been anything.
var boundaryMark = []byte{0, 0}

func (c command) extensions() []byte {
	ext := make([]byte, proposedMark)
	ext[0] = byte(c.kind)
	binary.BigEndian.PutUint64(ext[1:], c.term)
	binary.BigEndian.PutUint64(ext[9:], c.ticket)
	return ext
}

// A ledger knows which proposals may be stored, and is told what became of them.
type ledger interface {
	// claim returns the proposal of a command that may be stored, else nil.
	claim(term, ticket, storeTerm uint64) *proposal
	// keptBy is told what became of the claimed. With a mark they are committed.
	keptBy(claimed []*proposal, err error, mark *watermark)
}

// store is raft's LogStore over the partition's log. It fills no record bytes:
// the transport does that when it sends.
//
// Raft's main goroutine writes; raft's other goroutines read. After the first
// disk error it refuses every write, and raft's goroutines get answers that let
// them end instead of panicking; nothing they say leaves the node.
type store struct {
	log    *log.Log
	ledger ledger
	always bool // fsync=always
	config *atomic.Pointer[log.Config]
	self   int32
	fail   func(error)
	failed atomic.Bool
	stored func() // is told when entries were; nil: nobody asks

	sole    atomic.Bool   // this node is the only voter
	applied atomic.Uint64 // last index applied; the suffix above may be cut
	synced  int64         // log end offset at the last sync for flush.messages

	// Of the call under way, kept so that it allocates nothing.
	entries []log.Entry
	claimed []*proposal
	mark    watermark
}

// IsMonotonic tells raft that indexes here have no holes.
func (s *store) IsMonotonic() bool { return true }

// FirstIndex is 0 while the log holds no row.
func (s *store) FirstIndex() (uint64, error) {
	if first := s.log.FirstIndex(); first <= s.log.LastIndex() {
		return first, nil
	}
	return 0, nil
}

// LastIndex counts the boundary: a log whose rows are all compacted away ends there.
func (s *store) LastIndex() (uint64, error) { return s.log.LastIndex(), nil }

// GetLog fills index, term and type; configurations and log starts get their
// small payload. The boundary itself answers as a noop that is never sent. What is deleted while it is
// read, because the log start rose or a suffix was cut, is not found any more.
func (s *store) GetLog(index uint64, out *raft.Log) error {
	row, err := s.log.Row(index)
	if err == nil {
		err = s.fill(row, out)
	}
	if err == nil {
		return nil
	}
	if b := s.log.Boundary(); b.Index == index && index > 0 {
		*out = raft.Log{Index: b.Index, Term: b.Term, Type: raft.LogNoop, Extensions: boundaryMark}
		return nil
	}
	if errors.Is(err, log.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	return s.unreadable(index, err, out)
}

func (s *store) fill(row log.Row, out *raft.Log) error {
	*out = raft.Log{Index: row.Index, Term: row.Term, Type: raft.LogCommand}
	switch row.Kind {
	case log.KindNoop:
		out.Type = raft.LogNoop
		return nil
	case log.KindBarrier:
		out.Type = raft.LogBarrier
		return nil
	case log.KindBatch, log.KindVoid:
		out.Extensions = marks[row.Kind]
		return nil
	case log.KindConfiguration:
		out.Type = raft.LogConfiguration
	default:
		out.Extensions = marks[row.Kind]
	}
	payload, err := s.log.Payload(row, nil)
	if err == nil && row.Kind == log.KindConfiguration {
		payload, err = raftMembers(payload)
	}
	out.Data = payload
	return err
}

// unreadable takes the replica offline and gives raft a noop, because it
// panics on an error here.
func (s *store) unreadable(index uint64, err error, out *raft.Log) error {
	s.broken(fmt.Errorf("read index %d: %w", index, err))
	*out = raft.Log{Index: index, Type: raft.LogNoop}
	return nil
}

func (s *store) broken(err error) {
	if !s.failed.Swap(true) {
		s.fail(err)
	}
}

// hydrate fills the record bytes of the first n entries, which are about to be
// sent: as many as fit maxSendBytes, at least one. The bytes lie in *arena.
func (s *store) hydrate(entries []*raft.Log, arena *[]byte) (n int, err error) {
	rows, total := make([]log.Row, len(entries)), 0
	for n < len(entries) {
		e := entries[n]
		if isBatch(e) {
			if rows[n], err = s.log.Row(e.Index); err != nil {
				return 0, fmt.Errorf("hydrate index %d: %w", e.Index, err)
			}
			if rows[n].Term != e.Term {
				return 0, fmt.Errorf("hydrate index %d: term %d was replaced by %d", e.Index, e.Term, rows[n].Term)
			}
			total += int(rows[n].Size)
		}
		if total > maxSendBytes && n > 0 {
			break
		}
		n++
	}
	buf := slices.Grow((*arena)[:0], total)
	for i, e := range entries[:n] {
		if !isBatch(e) {
			continue
		}
		begin := len(buf)
		if buf, err = s.log.Payload(rows[i], buf); err != nil {
			return 0, fmt.Errorf("hydrate index %d: %w", e.Index, err)
		}
		e.Data = buf[begin:len(buf):len(buf)]
	}
	*arena = buf
	return n, nil
}

// present counts the entries before the boundary's mark.
func present(entries []*raft.Log) int {
	at := slices.IndexFunc(entries, func(e *raft.Log) bool { return len(e.Extensions) == len(boundaryMark) })
	if at < 0 {
		return len(entries)
	}
	return at
}

// isBatch says whether an entry stands for record bytes that the log holds.
func isBatch(e *raft.Log) bool {
	return len(e.Extensions) == replicatedMark && log.Kind(e.Extensions[0]) == log.KindBatch
}

// StoreLog stores one entry.
func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs writes entries, all or none, and tells the order what became of
// its proposals.
func (s *store) StoreLogs(logs []*raft.Log) error {
	s.entries, s.claimed = s.entries[:0], s.claimed[:0]
	for _, l := range logs {
		s.entries = append(s.entries, s.entry(l))
	}
	if err := s.write(); err != nil {
		s.broken(err)
		s.ledger.keptBy(s.claimed, storageError(err), nil)
		return err
	}
	if s.stored != nil {
		s.stored()
	}
	s.settle(logs)
	return nil
}

// write appends the collected entries.
func (s *store) write() error {
	if s.failed.Load() {
		return log.ErrFailed
	}
	if err := s.log.Append(s.entries); err != nil {
		return fmt.Errorf("append at index %d: %w", s.entries[0].Index, err)
	}
	if !s.due() {
		return nil
	}
	if err := s.log.Sync(); err != nil {
		return fmt.Errorf("sync at index %d: %w", s.entries[0].Index, err)
	}
	return nil
}

// due reports whether what was just written must be synced before it is
// answered: with fsync=always, and every flush.messages records.
func (s *store) due() bool {
	if s.always && !planted.Is(planted.FsyncSkipped) {
		return true
	}
	limit := s.config.Load().FlushMessages
	if limit <= 0 {
		return false
	}
	end := s.log.EndOffset()
	if end-s.synced < limit {
		s.synced = min(s.synced, end)
		return false
	}
	s.synced = end
	return true
}

// entry translates; a proposal that may not be stored becomes a void row.
func (s *store) entry(l *raft.Log) log.Entry {
	e := log.Entry{Index: l.Index, Term: l.Term, Data: l.Data}
	switch {
	case l.Type == raft.LogNoop:
		e.Kind = log.KindNoop
	case l.Type == raft.LogBarrier:
		e.Kind = log.KindBarrier
	case l.Type == raft.LogConfiguration:
		e.Kind, e.Data = log.KindConfiguration, encodeMembers(raft.DecodeConfiguration(l.Data))
	case len(l.Extensions) == proposedMark:
		s.claim(l, &e)
	case len(l.Extensions) == replicatedMark:
		e.Kind = log.Kind(l.Extensions[0])
	default:
		e.Kind, e.Data = log.KindVoid, nil // no command of ours looks like this
	}
	return e
}

func (s *store) claim(l *raft.Log, e *log.Entry) {
	term, ticket := binary.BigEndian.Uint64(l.Extensions[1:]), binary.BigEndian.Uint64(l.Extensions[9:])
	q := s.ledger.claim(term, ticket, l.Term)
	if q == nil {
		e.Kind, e.Data = log.KindVoid, nil
		l.Data, l.Extensions = nil, marks[log.KindVoid]
		return
	}
	e.Kind = log.Kind(l.Extensions[0])
	e.LeaderAppend = e.Kind == log.KindBatch
	q.index = l.Index
	s.claimed = append(s.claimed, q)
}

// settle runs after a successful write: it forgets the callers' bytes, notes
// the voters and, on an only voter, commits.
func (s *store) settle(logs []*raft.Log) {
	n := 0
	for i, l := range logs {
		e := s.entries[i]
		if l.Type == raft.LogConfiguration {
			s.sole.Store(onlyVoter(raft.DecodeConfiguration(l.Data), s.self))
		}
		if len(l.Extensions) != proposedMark {
			continue
		}
		q := s.claimed[n]
		n++
		l.Extensions = marks[e.Kind]
		if e.Kind == log.KindBatch {
			q.base, q.last = e.BaseOffset, e.BaseOffset+int64(q.batch().LastOffsetDelta())
			l.Data = nil
		}
	}
	clear(s.entries)
	if !s.sole.Load() && !planted.Is(planted.HighWatermarkEarly) {
		s.ledger.keptBy(s.claimed, nil, nil)
		return
	}
	last := logs[len(logs)-1]
	s.mark = completed(s.log, last.Index, last.Term, s.log.EndOffset())
	s.ledger.keptBy(s.claimed, nil, &s.mark)
}

// holds says whether the log holds an entry, or begins behind it: then all up to
// it is committed and here.
func (s *store) holds(index, term uint64) bool {
	if s.log.Boundary().Index >= index {
		return true
	}
	row, err := s.log.Row(index)
	return err == nil && row.Term == term
}

// DeleteRange cuts the end of the log, never below what is applied. Raft also
// asks for prefixes after a snapshot; by then the boundary has moved behind them.
func (s *store) DeleteRange(first, last uint64) error {
	if end := s.log.LastIndex(); last < end || first > end || last <= s.log.Boundary().Index {
		return nil
	}
	if s.failed.Load() {
		return log.ErrFailed
	}
	if applied := s.applied.Load(); first <= applied {
		err := fmt.Errorf("truncate from index %d: index %d is applied", first, applied)
		s.broken(err)
		return err
	}
	if err := s.log.TruncateSuffix(first); err != nil {
		err = fmt.Errorf("truncate from index %d: %w", first, err)
		s.broken(err)
		return err
	}
	s.sole.Store(false)
	return nil
}

// onlyVoter reports whether node alone decides.
func onlyVoter(c raft.Configuration, node int32) bool {
	voters := votersOf(c)
	return len(voters) == 1 && voters[0] == node
}
