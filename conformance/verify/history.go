// Package verify loads a Kafka-compatible broker with clients, keeps what they
// were told as a history of events, and judges the history.
//
// Judging is a pure function: a history that was saved can be judged again, and
// histories bent by hand prove that each check finds its fault. Anomalies have
// the names that Jepsen gives them where they mean the same. The package knows
// nothing of the broker behind the address, nor of who kills it: that one puts
// Round and Kill events in, so that a run without them is no verdict.
package verify

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Kind says what an event is.
type Kind string

const (
	Send      Kind = "send"      // Value is handed over for a partition, in Txn if that is named
	Ack       Kind = "ack"       // Value was acknowledged at Offset
	Fail      Kind = "fail"      // the client gave Value up: it may or may not be in the log
	Include   Kind = "include"   // Offset of Group is put into Txn
	End       Kind = "end"       // the end of Txn is asked for; from here on it may be committed
	Ended     Kind = "ended"     // Txn was told to have ended
	Unsure    Kind = "unsure"    // nothing is known of how Txn ended
	Grant     Kind = "grant"     // a session was given ProducerID and Epoch
	Poll      Kind = "poll"      // the client of Txn, which reads committed data, was given a record in it
	Read      Kind = "read"      // a reader that follows the log was given a record
	Loss      Kind = "loss"      // a client noticed by itself that data is gone
	Watermark Kind = "watermark" // an answer named HighWatermark or LastStable; one that it did not name is -1
	Commit    Kind = "commit"    // Group asks to commit Offset
	Committed Kind = "committed" // and was told that it is committed
	Position  Kind = "position"  // a fetch of Group's committed Offset was answered
	Pipeline  Kind = "pipeline"  // Group makes a record of To from each committed record of Topic
	Left      Kind = "left"      // the last transactional client of Topic left; Within is when no transaction is open any more
	Log       Kind = "log"       // a record of the final log, control records and aborted ones included
	View      Kind = "view"      // a record that a reader of committed data sees in the end
	Round     Kind = "round"     // a round of faults begins
	Tolerate  Kind = "tolerate"  // anomalies with the name Value are to be told, and no fault
	Kill      Kind = "kill"      // a broker was killed, or asked to end
	Fault     Kind = "fault"     // Value begins to be done to Process
	Mishap    Kind = "mishap"    // Value happened to Process, a client, or to what one said
	Zombie    Kind = "zombie"    // Process, which was stopped in Txn, goes on; another client has its transactional id since
	Healed    Kind = "healed"    // everything is as it should be again; Within is when a record has to be acknowledged again, Each when one of each partition, twice that in those of pipelines
)

// What mishaps there are.
const (
	ClientKill = "client-kill"
	LateCopy   = "late-copy"   // of a request, which was answered
	LostAnswer = "lost-answer" // to a request
	Cut        = "cut"         // of a connection, in the middle of a request
)

// An Event is one thing that a client did or was told. Which fields count
// depends on its kind.
type Event struct {
	Kind    Kind          `json:"kind"`
	At      time.Duration `json:"at"`              // since the history began
	Since   int           `json:"since,omitempty"` // of an answer: how many events there were when it was asked for
	Process string        `json:"process,omitempty"`

	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition,omitempty"`
	Offset    int64  `json:"offset,omitempty"`
	Value     string `json:"value,omitempty"`  // unique in the history, but for reads of it
	Source    string `json:"source,omitempty"` // the value that a pipeline made it from

	Account string `json:"account,omitempty"` // of a Send that is half of a transfer: whose money it moves
	Amount  int64  `json:"amount,omitempty"`  // and how much it gets; less than 0: it loses

	Txn    string `json:"txn,omitempty"`   // one transaction, not the transactional id
	Group  string `json:"group,omitempty"` // a consumer group
	To     string `json:"to,omitempty"`    // where a pipeline writes
	Commit bool   `json:"commit,omitempty"`
	Stable bool   `json:"stable,omitempty"` // read with isolation read_committed

	ProducerID    int64 `json:"producer_id,omitempty"`
	Epoch         int16 `json:"epoch,omitempty"`
	Control       bool  `json:"control,omitempty"`       // a control record: Commit says which
	Transactional bool  `json:"transactional,omitempty"` // of a transaction

	HighWatermark int64         `json:"high_watermark,omitempty"`
	LastStable    int64         `json:"last_stable,omitempty"`
	LeaderEpoch   int32         `json:"leader_epoch,omitempty"` // of who answered; 0: not named
	Start         int64         `json:"start,omitempty"`        // log start offset
	Within        time.Duration `json:"within,omitempty"`
	Each          time.Duration `json:"each,omitempty"`
	Request       string        `json:"request,omitempty"` // of a late copy, whose Since is when it was sent first
	Error         string        `json:"error,omitempty"`
}

// A partition of a topic.
type partition struct {
	topic string
	index int32
}

// A place is one offset of a partition.
type place struct {
	partition
	offset int64
}

func (e *Event) partition() partition { return partition{e.Topic, e.Partition} }
func (e *Event) place() place         { return place{e.partition(), e.Offset} }

func (p partition) String() string { return fmt.Sprintf("%s-%d", p.topic, p.index) }
func (p place) String() string     { return fmt.Sprintf("%s@%d", p.partition, p.offset) }

// A History lists events in the order in which they were recorded. An action
// is recorded before it begins and an answer after it came.
type History []Event

// Write saves a history, a line of JSON for each event.
func (h History) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	for i := range h {
		if err := encoder.Encode(&h[i]); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return out.Flush()
}

// ReadHistory reads what Write saved.
func ReadHistory(r io.Reader) (History, error) {
	var h History
	decoder := json.NewDecoder(bufio.NewReader(r))
	for {
		var e Event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return h, nil
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(h), err)
		}
		h = append(h, e)
	}
}
