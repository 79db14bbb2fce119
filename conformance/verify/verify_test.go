package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sound is a small history without a fault: two idempotent records; three
// transactions of three partitions' records, of which the first commits, the
// second aborts and the third is left; a pipeline that made one record of the
// committed ones; a group; readers of each isolation level; a watcher; rounds.
func sound() History {
	var h History
	add := func(e Event) int {
		e.At = time.Duration(len(h)) * time.Millisecond
		h = append(h, e)
		return len(h) - 1
	}
	add(Event{Kind: Pipeline, Group: "g", Topic: "in", To: "out"})
	add(Event{Kind: Round})
	add(Event{Kind: Grant, Process: "p/0", ProducerID: 1})
	add(Event{Kind: Grant, Process: "t/0", ProducerID: 2})
	add(Event{Kind: Grant, Process: "e/0", ProducerID: 3})
	put := func(kind Kind, process, topic string, partition int32, offset int64, value, txn, source string) {
		add(Event{Kind: kind, Process: process, Topic: topic, Partition: partition, Offset: offset, Value: value, Txn: txn, Source: source})
	}
	for i, v := range []string{"a", "b"} {
		put(Send, "p/0", "plain", 0, 0, v, "", "")
		put(Ack, "p/0", "plain", 0, int64(i), v, "", "")
	}
	for n, commit := range []bool{true, false} {
		txn := fmt.Sprint("t/0/", n)
		for p := range int32(2) {
			v := fmt.Sprintf("%s#%d", txn, p)
			put(Send, "t/0", "in", p, 0, v, txn, "")
			put(Ack, "t/0", "in", p, int64(2*n), v, txn, "")
		}
		add(Event{Kind: End, Process: "t/0", Txn: txn, Commit: commit})
		add(Event{Kind: Ended, Process: "t/0", Txn: txn, Commit: commit})
	}
	put(Send, "t/0", "in", 0, 0, "left#0", "left", "")
	put(Ack, "t/0", "in", 0, 4, "left#0", "left", "")
	for p := range int32(2) {
		source := fmt.Sprintf("t/0/0#%d", p)
		put(Read, "committed", "in", p, 0, source, "", "")
		h[len(h)-1].Stable = true
		put(Send, "e/0", "out", 0, 0, "made#"+fmt.Sprint(p), "e", source)
		put(Ack, "e/0", "out", 0, int64(p), "made#"+fmt.Sprint(p), "e", source)
		add(Event{Kind: Include, Process: "e/0", Txn: "e", Group: "g", Topic: "in", Partition: p, Offset: 1})
	}
	add(Event{Kind: End, Process: "e/0", Txn: "e", Commit: true})
	add(Event{Kind: Ended, Process: "e/0", Txn: "e", Commit: true})
	for _, offset := range []int64{1, 2} {
		asked := add(Event{Kind: Commit, Group: "r", Topic: "plain", Offset: offset})
		add(Event{Kind: Committed, Group: "r", Topic: "plain", Offset: offset})
		add(Event{Kind: Position, Since: asked + 2, Group: "r", Topic: "plain", Offset: offset})
	}
	add(Event{Kind: Watermark, Process: "w", Since: len(h), Topic: "in", HighWatermark: 5, LastStable: 4})
	add(Event{Kind: Kill})
	left := add(Event{Kind: Left, Topic: "in", Within: time.Second})
	h[left].At = time.Second
	for p := range int32(2) {
		add(Event{Kind: Watermark, Process: "w", Since: len(h), Topic: "in", Partition: p, HighWatermark: int64(6 - 2*p), LastStable: int64(6 - 2*p)})
	}
	add(Event{Kind: Watermark, Process: "w", Since: len(h), Topic: "plain", HighWatermark: 2, LastStable: 2})
	add(Event{Kind: Watermark, Process: "w", Since: len(h), Topic: "out", HighWatermark: 3, LastStable: 3})
	for p := range int32(2) {
		add(Event{Kind: Position, Since: len(h), Group: "g", Topic: "in", Partition: p, Offset: 1})
	}
	return append(h, soundLog(len(h))...)
}

// soundLog is the final log of sound, what its readers were given of it, and
// the committed view.
func soundLog(from int) (h History) {
	type stored struct {
		topic         string
		partition     int32
		offset        int64
		value, source string
		id            int64
		epoch         int16
		control       string
	}
	for _, s := range []stored{
		{"plain", 0, 0, "a", "", 1, 0, ""}, {"plain", 0, 1, "b", "", 1, 0, ""},
		{"in", 0, 0, "t/0/0#0", "", 2, 0, ""}, {"in", 0, 1, "", "", 2, 1, "commit"},
		{"in", 0, 2, "t/0/1#0", "", 2, 1, ""}, {"in", 0, 3, "", "", 2, 2, "abort"},
		{"in", 0, 4, "left#0", "", 2, 2, ""}, {"in", 0, 5, "", "", 2, 3, "abort"},
		{"in", 1, 0, "t/0/0#1", "", 2, 0, ""}, {"in", 1, 1, "", "", 2, 1, "commit"},
		{"in", 1, 2, "t/0/1#1", "", 2, 1, ""}, {"in", 1, 3, "", "", 2, 2, "abort"},
		{"out", 0, 0, "made#0", "t/0/0#0", 3, 0, ""}, {"out", 0, 1, "made#1", "t/0/0#1", 3, 0, ""}, {"out", 0, 2, "", "", 3, 1, "commit"},
	} {
		e := Event{Kind: Log, At: 2 * time.Second, Topic: s.topic, Partition: s.partition, Offset: s.offset, Value: s.value, Source: s.source,
			ProducerID: s.id, Epoch: s.epoch, Transactional: s.topic != "plain", Control: s.control != "", Commit: s.control == "commit"}
		read := e
		read.Kind, read.Process = Read, "all"
		h = append(h, e, read)
		if s.topic == "plain" || s.topic == "out" && !e.Control {
			read.Process, read.Stable = "committed", true
			h = append(h, read)
		}
		if s.control == "" && (s.topic != "in" || strings.HasPrefix(s.value, "t/0/0")) {
			e.Kind, e.Stable = View, true
			h = append(h, e)
		}
	}
	return h
}

func TestSoundHistoryHasNoAnomaly(t *testing.T) {
	for _, a := range Check(sound()) {
		t.Error(a)
	}
}

// find is the n-th event that pick says yes to.
func (h History) find(n int, pick func(*Event) bool) int {
	for i := range h {
		if pick(&h[i]) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic("no such event")
}

// of picks events of a kind with a value.
func of(kind Kind, value string) func(*Event) bool {
	return func(e *Event) bool { return e.Kind == kind && e.Value == value }
}

// drop takes the events away that pick says yes to.
func (h History) drop(pick func(*Event) bool) History {
	return slices.DeleteFunc(slices.Clone(h), func(e Event) bool { return pick(&e) })
}

// also repeats an event at the end, changed.
func (h History) also(n int, pick func(*Event) bool, change func(*Event)) History {
	e := h[h.find(n, pick)]
	change(&e)
	return append(slices.Clone(h), e)
}

// change changes one event.
func (h History) change(n int, pick func(*Event) bool, change func(*Event)) History {
	bent := slices.Clone(h)
	change(&bent[h.find(n, pick)])
	return bent
}

// TestBentHistoriesAreFound bends a sound history in one place after the other
// and wants the anomaly by its name.
func TestBentHistoriesAreFound(t *testing.T) {
	h := sound()
	kind := func(k Kind) func(*Event) bool { return func(e *Event) bool { return e.Kind == k } }
	group := func(k Kind, g string) func(*Event) bool {
		return func(e *Event) bool { return e.Kind == k && e.Group == g }
	}
	ends := func(topic string) func(*Event) bool {
		return func(e *Event) bool { return e.Kind == Watermark && e.Topic == topic }
	}
	now := len(h)
	for _, c := range []struct {
		name, want string
		bent       History
	}{
		{"an acknowledged record is nowhere", "lost-write", h.drop(of(Log, "b"))},
		{"an acknowledged record is elsewhere", "inconsistent-offsets", h.change(0, of(Ack, "b"), func(e *Event) { e.Offset = 0 })},
		{"a value is there twice", "duplicate", h.also(0, of(Log, "b"), func(e *Event) { e.Offset = 2 })},
		{"a value that nobody sent", "phantom", h.drop(of(Send, "b"))},
		{"a value in another partition", "phantom", h.change(0, of(Log, "b"), func(e *Event) { e.Partition = 1 })},
		{"two records have changed places", "nonmonotonic-send", h.change(0, of(Log, "a"), func(e *Event) { e.Offset = 2 })},
		{"an offset without a record", "offset-gap", h.drop(func(e *Event) bool { return e.Kind == Log && e.Topic == "in" && e.Offset == 3 })},
		{"the log ends below its high watermark", "offset-gap", h.change(0, ends("plain"), func(e *Event) { e.HighWatermark, e.LastStable = 3, 3 })},
		{"a record that was read is gone", "vanished", h.drop(of(Log, "left#0"))},
		{"a record that was read is another", "vanished", h.change(0, func(e *Event) bool { return e.Kind == Read && e.Value == "a" }, func(e *Event) { e.Value = "z" })},
		{"a client noticed a loss", "vanished", h.also(0, kind(Round), func(e *Event) { e.Kind, e.Error = Loss, "lost records" })},
		{"a reader went back", "nonmonotonic-poll", h.also(0, of(Read, "a"), func(*Event) {})},
		{"a reader passed a record over", "poll-skip", h.drop(of(Read, "t/0/1#0"))},
		{"a reader never came to the end", "unseen", h.drop(func(e *Event) bool { return e.Kind == Read && e.Value == "b" && e.Stable })},
		{"a refused sequence", "sequence-broken", h.also(0, of(Ack, "b"), func(e *Event) { e.Kind, e.Error = Fail, "OUT_OF_ORDER_SEQUENCE_NUMBER: the broker..." })},
		{"a producer id given twice", "pid-reuse", h.also(0, kind(Grant), func(e *Event) { e.Process = "q/0" })},
		{"a producer id in two sessions' records", "pid-reuse", h.change(0, of(Log, "b"), func(e *Event) { e.ProducerID = 3 })},
		{"an epoch granted lower", "epoch-regress", h.change(0, kind(Grant), func(e *Event) { e.Epoch = 3 }).also(0, kind(Grant), func(e *Event) { e.Epoch = 1 })},
		{"an epoch lower in the log", "epoch-regress", h.change(0, of(Log, "a"), func(e *Event) { e.Epoch = 3 })},
		{"an aborted record in the view", "G1a-aborted-read", h.also(0, of(Log, "t/0/1#0"), func(e *Event) { e.Kind = View })},
		{"an aborted record read while following", "G1a-aborted-read", h.change(0, of(Read, "t/0/1#0"), func(e *Event) { e.Stable = true })},
		{"a record of a transaction that was left", "G1a-aborted-read", h.also(0, of(Log, "left#0"), func(e *Event) { e.Kind = View })},
		{"a record read before the commit", "precommitted-read", append(History{{Kind: Read, Stable: true, Process: "x", Topic: "in", Value: "t/0/0#0"}}, h...)},
		{"half a transaction is seen", "torn-txn", h.drop(of(View, "t/0/0#1"))},
		{"none of a committed transaction is seen", "torn-txn", h.drop(func(e *Event) bool { return e.Kind == View && strings.HasPrefix(e.Value, "t/0/0") })},
		{"its offsets are not committed", "torn-txn", h.also(0, group(Position, "g"), func(e *Event) { e.Offset = 0 })},
		{"its marker says another thing", "marker-mismatch", h.change(0, func(e *Event) bool { return e.Kind == Log && e.Control }, func(e *Event) { e.Commit = false })},
		{"a marker is there twice", "marker-mismatch", h.also(0, func(e *Event) bool { return e.Kind == Log && e.Control && e.Topic == "in" && e.Offset == 5 }, func(e *Event) { e.Offset = 6 })},
		{"a committed marker, and nothing seen", "marker-mismatch", h.change(1, func(e *Event) bool { return e.Kind == Log && e.Control }, func(e *Event) { e.Commit = true })},
		{"the high watermark falls", "hw-regress", h.also(0, ends("plain"), func(e *Event) { e.Process, e.Since, e.HighWatermark, e.LastStable = "v", now, 1, -1 })},
		{"it falls for one reader", "hw-regress", h.also(0, ends("plain"), func(e *Event) { e.Since, e.HighWatermark, e.LastStable = 0, 1, -1 })},
		{"it falls within a leader epoch", "hw-regress", append(slices.Clone(h), Event{Kind: Watermark, Process: "v", Since: now, Topic: "plain", LeaderEpoch: 2, HighWatermark: 2, LastStable: -1},
			Event{Kind: Watermark, Process: "v", Since: now + 1, Topic: "plain", LeaderEpoch: 2, HighWatermark: 1, LastStable: -1})},
		{"it is lower in the next leader epoch", "hw-regress", append(slices.Clone(h), Event{Kind: Watermark, Process: "v", Since: now, Topic: "plain", LeaderEpoch: 2, HighWatermark: 2, LastStable: -1},
			Event{Kind: Watermark, Process: "u", Since: now + 1, Topic: "plain", LeaderEpoch: 3, HighWatermark: 1, LastStable: -1})},
		{"the last stable offset falls", "lso-regress", h.also(0, ends("plain"), func(e *Event) { e.Process, e.Since, e.HighWatermark, e.LastStable = "v", now, -1, 1 })},
		{"the last stable offset is above", "lso-above-hw", h.change(0, ends("in"), func(e *Event) { e.LastStable = 6 })},
		{"the log start moved", "log-start-moved", h.change(0, ends("in"), func(e *Event) { e.Start = 1 })},
		{"a transaction stays open", "hung-txn", h.change(1, ends("in"), func(e *Event) { e.LastStable = 4 })},
		{"a transaction is open for too long", "hung-txn", append(slices.Clone(h),
			Event{Kind: Round, At: 5 * time.Second}, Event{Kind: Watermark, Process: "w", Since: now + 1, At: 5 * time.Second, Topic: "in", HighWatermark: 7, LastStable: 6})},
		{"an offset that nobody committed", "group-offset-phantom", h.also(0, group(Position, "r"), func(e *Event) { e.Offset = 7 })},
		{"an offset of an aborted transaction", "group-offset-phantom", h.change(2, kind(Ended), func(e *Event) { e.Commit = false })},
		{"an offset goes back", "group-offset-regress", h.also(0, group(Position, "r"), func(e *Event) { e.Since = now })},
		{"an offset is gone", "group-offset-regress", h.also(0, group(Position, "r"), func(e *Event) { e.Since, e.Offset = now, -1 })},
		{"an offset of a transaction goes back", "group-offset-regress", h.also(0, group(Position, "g"), func(e *Event) { e.Since, e.Offset = now, -1 })},
		{"an offset past the end", "group-offset-beyond-end", h.also(0, group(Commit, "r"), func(e *Event) { e.Offset = 9 }).also(0, group(Position, "r"), func(e *Event) { e.Offset = 9 })},
		{"nothing is acknowledged when all is well again", "no-progress", append(slices.Clone(h),
			Event{Kind: Healed, At: 5 * time.Second, Within: time.Second}, Event{Kind: Round, At: 7 * time.Second})},
		{"an acknowledgement comes late", "no-progress", append(slices.Clone(h),
			Event{Kind: Healed, At: 5 * time.Second, Within: time.Second}, Event{Kind: Send, Value: "z", Topic: "plain", At: 5 * time.Second},
			Event{Kind: Ack, Value: "z", Topic: "plain", At: 7 * time.Second})},
		{"one partition is not served again", "no-progress", append(slices.Clone(h),
			Event{Kind: Healed, At: 5 * time.Second, Within: 9 * time.Second, Each: time.Second}, Event{Kind: Send, Value: "z", Topic: "plain", At: 5 * time.Second},
			Event{Kind: Ack, Value: "z", Topic: "plain", At: 5 * time.Second}, Event{Kind: Round, At: 7 * time.Second})},
		{"made twice", "etl-duplicate", h.also(0, of(View, "made#0"), func(e *Event) { e.Offset = 3 })},
		{"made from nothing", "etl-phantom", h.change(0, of(View, "made#0"), func(e *Event) { e.Source = "z" })},
		{"never made, and passed over", "etl-lost", h.drop(of(View, "made#0"))},
		{"never come to", "no-progress", h.drop(func(e *Event) bool { return e.Value == "made#0" || e.Kind == Position && e.Group == "g" })},
		{"made in another order", "etl-order", h.change(0, of(View, "t/0/0#1"), func(e *Event) { e.Partition, e.Offset = 0, -1 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Check(c.bent)
			if !slices.ContainsFunc(found, func(a Anomaly) bool { return a.Name == c.want }) {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

// What clients may see and what is none of the broker's faults.
func TestWhatIsNoAnomaly(t *testing.T) {
	h := sound()
	now := len(h)
	for name, bent := range map[string]History{
		"a committed transaction that nobody was told of": h.drop(func(e *Event) bool { return e.Kind == Ended && e.Commit }),
		"an offset that a client set back": append(slices.Clone(h), Event{Kind: Commit, Group: "r", Topic: "plain", Offset: 1},
			Event{Kind: Position, Since: now + 1, Group: "r", Topic: "plain", Offset: 1}),
		"an older offset, asked for before the newer one was told": append(slices.Clone(h), Event{Kind: Position, Group: "r", Topic: "plain", Offset: 1}),
		"an older high watermark, answered late":                   append(slices.Clone(h), Event{Kind: Watermark, Process: "late", Topic: "plain", HighWatermark: 1, LastStable: 1}),
		"an older high watermark, of a leader that was replaced": append(slices.Clone(h), Event{Kind: Watermark, Process: "v", Since: now, Topic: "plain", LeaderEpoch: 3, HighWatermark: 2, LastStable: 2},
			Event{Kind: Watermark, Process: "v", Since: now + 1, Topic: "plain", LeaderEpoch: 2, HighWatermark: 1, LastStable: 1}),
		"a transaction open until it timed out": h.change(0, func(e *Event) bool { return e.Kind == Left }, func(e *Event) { e.Kind = Round }).
			leave(h.find(0, func(e *Event) bool { return e.Kind == Round })),
		"a record whose producer was never told": h.drop(of(Ack, "b")),
		"a client that shows no control records": h.drop(func(e *Event) bool { return e.Control }),
		"a fault that comes soon after the last": append(slices.Clone(h),
			Event{Kind: Healed, At: 5 * time.Second, Within: time.Second, Each: time.Second}, Event{Kind: Fault, Value: "kill", At: 5 * time.Second}, Event{Kind: Round, At: 9 * time.Second}),
	} {
		for _, a := range Check(bent) {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// leave lets the transactional clients leave at event i, so that what follows
// is seen while transactions are open, and in time.
func (h History) leave(i int) History {
	h[i].Kind, h[i].Topic, h[i].Within = Left, "in", time.Second
	return h
}

// What a history says is tolerated is told, and is no anomaly; all else is.
func TestTolerated(t *testing.T) {
	bent := sound().change(0, func(e *Event) bool { return e.Kind == Watermark }, func(e *Event) { e.LastStable = 6 }).drop(of(Log, "b"))
	strict, v := Judge(bent, Floors{}), Judge(append(bent, Event{Kind: Tolerate, Value: "lso-above-hw"}), Floors{})
	has := func(all []Anomaly) bool {
		return slices.ContainsFunc(all, func(a Anomaly) bool { return a.Name == "lso-above-hw" })
	}
	if !has(strict.Anomalies) || has(strict.Allowed) || has(v.Anomalies) || !has(v.Allowed) || len(v.Anomalies) != len(strict.Anomalies)-1 {
		t.Errorf("%+v and %+v, want the one that is tolerated among those that are allowed", strict, v)
	}
}

func TestFloors(t *testing.T) {
	floors := Floors{Acked: 2, Ended: 3, Kills: 1, Committed: 2, Aborted: 1, Transformed: 2, Read: 5, Positions: 2, Grants: 3}
	if v := Judge(sound(), floors); len(v.Missed) != 0 || len(v.Anomalies) != 0 {
		t.Errorf("missed %q, anomalies %v", v.Missed, v.Anomalies)
	}
	for name, bent := range map[string]History{
		"round without a kill":  sound().drop(func(e *Event) bool { return e.Kind == Kill }),
		"round without records": sound().drop(func(e *Event) bool { return e.Kind == Ack }),
		"no rounds":             sound().drop(func(e *Event) bool { return e.Kind == Round }),
		"no aborts":             sound().drop(func(e *Event) bool { return e.Kind == Ended && !e.Commit }),
		"a second, idle round":  append(sound(), Event{Kind: Round}),
		"nothing":               nil,
	} {
		if v := Judge(bent, floors); len(v.Missed) == 0 {
			t.Errorf("%s: no floor missed: %+v", name, v.Figures)
		}
	}
}

func TestFloorsOfFaults(t *testing.T) {
	h := append(sound(), Event{Kind: Fault, Value: "pause"})
	if v := Judge(h, Floors{Faults: map[string]int{"kill": 1, "pause": 1}}); !slices.Equal(v.Missed, []string{"0 times kill, want 1"}) {
		t.Errorf("missed %q", v.Missed)
	}
}

func TestHistoryIsSavedWhole(t *testing.T) {
	var file bytes.Buffer
	if err := sound().Write(&file); err != nil {
		t.Fatal(err)
	}
	got, err := ReadHistory(&file)
	if err != nil || !slices.Equal(got, sound()) {
		t.Errorf("%d events, %v, want the %d that were saved", len(got), err, len(sound()))
	}
	if _, err := ReadHistory(strings.NewReader("{")); err == nil {
		t.Error("half an event was read")
	}
}

func TestAwaitWaitsForATally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder()
		done := make(chan error)
		go func() { done <- r.Await(t.Context(), func(t Tally) bool { return t.Acked == 2 && t.Transformed == 1 }) }()
		for _, e := range []Event{{Kind: Ack}, {Kind: Ack}, {Kind: Read}} {
			r.Add(e)
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("done after %v, %v", e.Kind, err)
			default:
			}
		}
		r.Add(Event{Kind: Read, Stable: true, Source: "x"})
		if err := <-done; err != nil {
			t.Error(err)
		}
		late := time.AfterFunc(time.Hour, func() { t.Error("Await outlives its context") })
		defer late.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Await(ctx, func(Tally) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the context", err)
		}
		if got := r.Tally(); got.Events != 4 || got.Read != 2 || got.ReadStable != 1 || r.Now() != 4 || len(r.History()) != 4 {
			t.Errorf("%+v of 4 events", got)
		}
	})
}

// withZombie is sound with a transaction of t/0 that is asked to commit after
// another client has taken over.
func withZombie(tail ...Event) History {
	h := append(sound(), Event{Kind: Send, Process: "t/0", Topic: "in", Value: "t/0/9#0", Txn: "t/0/9"}, Event{Kind: Zombie, Process: "t/0", Txn: "t/0/9"})
	return append(h, tail...)
}

func TestBentHistoriesOfZombies(t *testing.T) {
	end := Event{Kind: End, Process: "t/0", Txn: "t/0/9", Commit: true}
	for name, c := range map[string]struct {
		bent History
		want string
	}{
		"told committed":   {withZombie(end, Event{Kind: Ended, Process: "t/0", Txn: "t/0/9", Commit: true}), "zombie-commit"},
		"seen":             {withZombie(end, Event{Kind: View, Topic: "in", Offset: 9, Value: "t/0/9#0"}), "zombie-commit"},
		"a record of then": {withZombie(Event{Kind: Send, Process: "t/0", Topic: "in", Value: "late", Txn: "t/0/9"}, Event{Kind: Ack, Process: "t/0", Topic: "in", Offset: 9, Value: "late"}), "zombie-write"},
	} {
		if found := Check(c.bent); !slices.ContainsFunc(found, func(a Anomaly) bool { return a.Name == c.want }) {
			t.Errorf("%s: found %v, want %s", name, found, c.want)
		}
	}
	for name, sane := range map[string]History{
		"refused":                        withZombie(end, Event{Kind: Unsure, Process: "t/0", Txn: "t/0/9"}),
		"a record that was on its way":   withZombie(Event{Kind: Fail, Process: "t/0", Topic: "in", Value: "t/0/9#0"}),
		"its successor commits meantime": withZombie(Event{Kind: End, Process: "t/1", Txn: "t/1/0", Commit: true}, Event{Kind: Ended, Process: "t/1", Txn: "t/1/0", Commit: true}),
	} {
		for _, a := range Check(sane) {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func TestFloorsOfMishaps(t *testing.T) {
	h := append(sound(), Event{Kind: Mishap, Value: ClientKill}, Event{Kind: Mishap, Value: LateCopy}, Event{Kind: Mishap, Value: LostAnswer}, Event{Kind: Zombie})
	v := Judge(h, Floors{ClientKills: 1, Zombies: 1, LateCopies: 2, AllFaults: 1, Transactions: 99})
	want := []string{"3 ended transactions, want 99", "0 faults, want 1", "1 late copies, want 2"}
	if !slices.Equal(v.Missed, want) || v.Figures.LostAnswers != 1 {
		t.Errorf("missed %q of %+v, want %q", v.Missed, v.Figures, want)
	}
}
