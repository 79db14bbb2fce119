package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// The keys that hashicorp/raft keeps in its stable store.
const (
	keyCurrentTerm  = "CurrentTerm"
	keyLastVoteTerm = "LastVoteTerm"
	keyLastVoteCand = "LastVoteCand"
)

// errNotFound has the text that hashicorp/raft compares with.
var errNotFound = errors.New("not found")

// stable is raft's StableStore of one group over its slot. Raft's main goroutine
// uses it, and whoever finds that nothing is forgotten any more.
//
// Raft panics when the term cannot be stored, so that error is not returned:
// fail takes the group offline, and from then on nothing the group says leaves
// the node (see transport). A vote that cannot be stored is refused.
type stable struct {
	slots *slots
	slot  *slot
	fail  func(error)

	mu     sync.Mutex // the turn to write the slot
	value  ballot     // what raft was told
	staged uint64     // vote term, waiting for its candidate
}

func newStable(s *slots, v *slot, fail func(error)) *stable {
	value := v.value
	if value.term == 0 {
		value.term = 1 // the term of the first configuration; no vote is cast in it
	}
	return &stable{slots: s, slot: v, value: value, fail: fail}
}

// forget has all that is stored from now on say whether the replica is forgetful.
func (s *stable) forget(forgot bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value.forgot = forgot
}

// remember stores that the replica is forgetful no more.
func (s *stable) remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value.forgot = false
	if err := s.slots.put(s.slot, s.value); err != nil {
		s.fail(fmt.Errorf("store that nothing is forgotten: %w", err))
	}
}

// SetUint64 stores the term, or keeps a vote's term until its candidate comes.
func (s *stable) SetUint64(key []byte, val uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyCurrentTerm:
		if val == s.value.term {
			return nil
		}
		s.value.term = val
		if err := s.slots.put(s.slot, s.value); err != nil {
			s.fail(fmt.Errorf("store term %d: %w", val, err))
		}
		return nil
	case keyLastVoteTerm:
		s.staged = val
		return nil
	default:
		return fmt.Errorf("stable store has no key %q", key)
	}
}

// Set stores the vote whose term was staged before.
func (s *stable) Set(key, val []byte) error {
	if string(key) != keyLastVoteCand {
		return fmt.Errorf("stable store has no key %q", key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.value
	next.voteTerm, next.candidate = s.staged, string(val)
	if err := s.slots.put(s.slot, next); err != nil {
		err = fmt.Errorf("store vote of term %d: %w", s.staged, err)
		s.fail(err)
		return err
	}
	s.value = next
	return nil
}

// GetUint64 answers errNotFound for what was never stored.
func (s *stable) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case string(key) == keyCurrentTerm:
		return s.value.term, nil
	case string(key) == keyLastVoteTerm && s.value.voteTerm > 0:
		return s.value.voteTerm, nil
	default:
		return 0, errNotFound
	}
}

// Get answers errNotFound when this replica never voted.
func (s *stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyLastVoteCand || s.value.candidate == "" {
		return nil, errNotFound
	}
	return []byte(s.value.candidate), nil
}

// candidateNode is the node that a vote names.
func candidateNode(name []byte) (int32, bool) {
	if len(name) != 4 {
		return -1, false
	}
	return int32(binary.BigEndian.Uint32(name)), true
}
