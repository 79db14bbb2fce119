package verify

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// An Anomaly is a promise that a history shows broken.
type Anomaly struct {
	Name   string `json:"name"`   // Jepsen's where it means the same, such as lost-write or G1a-aborted-read
	Detail string `json:"detail"` // which values and offsets
	Event  int    `json:"event"`  // where in the history it shows
}

func (a Anomaly) String() string { return fmt.Sprintf("%s: %s (event %d)", a.Name, a.Detail, a.Event) }

// Floors are what a run has to achieve to count: a run without load finds no
// anomaly, and proves nothing.
type Floors struct {
	Acked, Ended, Kills int // in each round
	Aborted, Committed  int // transactions in the whole run
	Transactions        int // of which it is known how they ended, likewise
	Transformed         int // records of pipelines that a reader of committed data sees
	Read, Positions     int // records read while following; commits of groups
	Grants              int // producer ids given

	Faults    map[string]int // how often each was done
	AllFaults int            // how often any was

	Transfers int // between accounts, committed
	Polled    int // records that transactions read

	ClientKills, Zombies, LateCopies, LostAnswers, Cuts int
}

// Figures say how much a run achieved.
type Figures struct {
	Events, Rounds, Kills      int
	Acked, Failed              int // records
	Committed, Aborted, Unsure int // transactions; unsure: not told how they ended
	Transformed                int
	Transfers                  int // committed
	Polled                     int // records that transactions read
	Read, Positions, Grants    int
	Took                       time.Duration

	Faults                                              map[string]int // how often each was done
	ClientKills, Zombies, LateCopies, LostAnswers, Cuts int

	Recovery       time.Duration // the longest from everything being well to the next acknowledgement
	RecoveryOfEach time.Duration // the longest to the next one in a partition, of all partitions
}

// A Verdict is what Judge says of a history. A run passes with no anomaly and
// with no floor missed.
type Verdict struct {
	Anomalies []Anomaly
	Allowed   []Anomaly // what Kafka does not promise to prevent, for information
	Missed    []string  // floors, each with what was demanded and what came
	Figures   Figures
}

// Judge checks a history and counts what it achieved.
func Judge(h History, f Floors) Verdict {
	figures, x := figuresOf(h), newIndex(h)
	v := Verdict{Allowed: allowedCycles(x), Missed: missed(h, f, figures), Figures: figures}
	for _, a := range x.check() {
		if x.tolerated[a.Name] {
			v.Allowed = append(v.Allowed, a)
		} else {
			v.Anomalies = append(v.Anomalies, a)
		}
	}
	return v
}

// checks are all there is to look for.
var checks = []func(*index) []Anomaly{
	writes, order, gaps, reads, losses, sequences, producerIDs,
	isolation, transactions, markers, doubled, zombies,
	watermarks, hanging, progress,
	positions, registers, pipelines, balances, polls, circularReads,
}

// Check returns every anomaly of a history, in the order of its events.
func Check(h History) []Anomaly { return newIndex(h).check() }

func (x *index) check() []Anomaly {
	var all []Anomaly
	for _, check := range checks {
		all = append(all, check(x)...)
	}
	slices.SortStableFunc(all, func(a, b Anomaly) int { return cmp.Compare(a.Event, b.Event) })
	return all
}

// An index finds the events of a history. The maps hold positions in it.
type index struct {
	history   History
	sent      map[string]int
	acked     map[string]int
	txns      map[string]*transaction
	names     []string             // of the transactions, by their first event
	log       map[partition][]int  // the final log by offset
	at        map[place]int        // the same by place
	where     map[string][]int     // the same by value
	view      map[string][]int     // the committed view by value
	shown     map[partition][]int  // the committed view by offset
	late      map[string][]int     // late copies of EndTxn by session
	tolerated map[string]bool      // names of anomalies
	markers   bool                 // the log has control records
	ends      map[partition]*Event // the answer that named the highest high watermark
}

// A transaction is what became of one.
type transaction struct {
	sends    []int
	includes []int
	asked    int // position of the End event; -1: its end was never asked for
	commit   bool
	ended    int // position of the Ended event; -1: unknown
	outcome  bool
}

// markersHidden says that the log was read by a client that shows no control records:
// there are transactions, and none of their markers.
func (x *index) markersHidden() bool { return len(x.names) > 0 && !x.markers }

// told says that the client knows of the outcome.
func (t *transaction) told(commit bool) bool { return t.ended >= 0 && t.outcome == commit }

// mayCommit says that nothing forbids the transaction to be seen as committed
// by an answer at position i.
func (t *transaction) mayCommit(i int) bool { return t.asked >= 0 && t.commit && t.asked < i }

func newIndex(h History) *index {
	x := &index{
		history: h, sent: map[string]int{}, acked: map[string]int{}, txns: map[string]*transaction{},
		log: map[partition][]int{}, at: map[place]int{}, where: map[string][]int{},
		view: map[string][]int{}, shown: map[partition][]int{}, late: map[string][]int{}, tolerated: map[string]bool{}, ends: map[partition]*Event{},
	}
	for i := range h {
		e := &h[i]
		switch e.Kind {
		case Send:
			x.sent[e.Value] = i
		case Ack:
			x.acked[e.Value] = i
		case Log:
			x.log[e.partition()] = append(x.log[e.partition()], i)
			x.at[e.place()] = i
			x.markers = x.markers || e.Control
			if !e.Control {
				x.where[e.Value] = append(x.where[e.Value], i)
			}
		case View:
			x.shown[e.partition()] = append(x.shown[e.partition()], i)
			x.view[e.Value] = append(x.view[e.Value], i)
		case Tolerate:
			x.tolerated[e.Value] = true
		case Mishap:
			if e.Value == LateCopy && e.Request == "EndTxn" {
				x.late[e.Process] = append(x.late[e.Process], i)
			}
		case Watermark:
			if end := x.ends[e.partition()]; e.HighWatermark >= 0 && (end == nil || end.HighWatermark <= e.HighWatermark) {
				x.ends[e.partition()] = e
			}
		}
		x.addToTransaction(i)
	}
	for _, ordered := range []map[partition][]int{x.log, x.shown} {
		for _, positions := range ordered {
			slices.SortStableFunc(positions, func(a, b int) int { return cmp.Compare(h[a].Offset, h[b].Offset) })
		}
	}
	return x
}

func (x *index) addToTransaction(i int) {
	e := &x.history[i]
	if e.Txn == "" || e.Kind != Send && e.Kind != Include && e.Kind != End && e.Kind != Ended {
		return
	}
	t := x.txns[e.Txn]
	if t == nil {
		t = &transaction{asked: -1, ended: -1}
		x.txns[e.Txn] = t
		x.names = append(x.names, e.Txn)
	}
	switch e.Kind {
	case Send:
		t.sends = append(t.sends, i)
	case Include:
		t.includes = append(t.includes, i)
	case End:
		t.asked, t.commit = i, e.Commit
	case Ended:
		t.ended, t.outcome = i, e.Commit
	}
}

// partitions lists the partitions of a map in an order of their own, so that
// the same history gives the same anomalies.
func partitions[V any](m map[partition]V) []partition {
	all := make([]partition, 0, len(m))
	for p := range m {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	return all
}

// A summit knows how high something had been at any position of a history.
type summit struct {
	at  []int
	top []int64
}

// add says that an answer at position i named v.
func (s *summit) add(i int, v int64) {
	if len(s.top) == 0 || v > s.top[len(s.top)-1] {
		s.at, s.top = append(s.at, i), append(s.top, v)
	}
}

// before is the highest value that was named before position i, and where.
func (s *summit) before(i int) (v int64, at int) {
	n, _ := slices.BinarySearch(s.at, i)
	if n == 0 {
		return -1, -1
	}
	return s.top[n-1], s.at[n-1]
}
