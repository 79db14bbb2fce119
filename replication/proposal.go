package replication

import (
	"time"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/record"
)

// A phase is how far a proposal has come.
type phase uint8

const (
	queued   phase = iota // waits for a round
	taken                 // being checked by whoever holds the turn
	proposed              // in a round, handed to raft
	storing               // claimed by the store, which reads its bytes
	stored                // in the log, waits for its commit
	settled               // answered
)

// An outcome is what a proposal's check says.
type outcome uint8

const (
	accepted outcome = iota
	refused          // with err
	known            // in the log already; nothing to append
	repeated         // a batch of this very round again
)

// A proposal is one thing that a caller wants in the log.
type proposal struct {
	// What is wanted.
	kind      log.Kind // KindBatch, KindLogStart or, to wait for what was stored before, KindVoid
	data      []byte   // the batch or the payload; not read once the caller may have it back
	info      log.ProduceInfo
	guard     *Guard
	marker    *log.Marker // set: data is its control batch, judged by hard-12
	epoch     int32       // the only leader epoch it may be stored in; 0: any
	acks      int16
	minInSync int       // voters that must hold it; 0: the majority that commits it
	deadline  time.Time // of the caller's wait; zero: none

	// How it goes. Guarded by order.mu, but for the check's results: those
	// belong to the holder of the turn while the phase is taken.
	phase   phase
	outcome outcome
	ticket  uint64
	index   uint64 // raft index once stored; 0 for what appended nothing
	reach   uint64 // what appended nothing is within this index
	base    int64
	last    int64
	at      int64 // append time in ms, -1 for none
	err     error
	expired bool // the caller no longer waits for a commit
	closes  bool // the caller starts the next round when this one ends
	ended   bool // the round has ended
	wake    chan struct{}
}

// batch is the proposal's record batch.
func (q *proposal) batch() record.Batch { return record.Batch(q.data) }
