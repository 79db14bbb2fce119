package verify

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// transfers is a history of two transfers of a bank, which a reader saw: between two
// accounts in two partitions, forth and half of it back.
func transfers() History {
	var h History
	for n, amount := range []int64{8, -4} {
		txn := fmt.Sprint("t/0/", n)
		for p := range int32(2) {
			value, gets := fmt.Sprintf("%s#%d", txn, p), amount*int64(1-2*p)
			h = append(h, Event{Kind: Send, Process: "t/0", Topic: "bank", Partition: p, Value: value, Txn: txn, Account: fmt.Sprint(p), Amount: gets},
				Event{Kind: Ack, Process: "t/0", Topic: "bank", Partition: p, Offset: int64(2 * n), Value: value, Txn: txn})
		}
		h = append(h, Event{Kind: End, Process: "t/0", Txn: txn, Commit: true}, Event{Kind: Ended, Process: "t/0", Txn: txn, Commit: true})
	}
	return append(h, stored(h)...)
}

// stored is the final log of a history whose transactions all committed, each with a
// marker behind its records: what a reader and the committed view show of it too.
func stored(h History) (log History) {
	offsets := make(map[partition]int64)
	epochs := make(map[string]int16)
	for i := range h {
		e := &h[i]
		if e.Kind != Ack {
			continue
		}
		if _, known := epochs[e.Txn]; !known {
			epochs[e.Txn] = int16(len(epochs))
		}
		record := Event{Kind: Log, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Value: e.Value, ProducerID: 1, Epoch: epochs[e.Txn], Transactional: true}
		marker := record
		marker.Offset, marker.Value, marker.Control, marker.Commit, marker.Epoch = e.Offset+1, "", true, true, record.Epoch+1
		view, read := record, record
		view.Kind, view.Stable = View, true
		read.Kind, read.Stable, read.Process = Read, true, "committed"
		log = append(log, record, marker, view, read)
		offsets[e.partition()] = max(offsets[e.partition()], e.Offset)
	}
	return log
}

func TestSoundTransfers(t *testing.T) {
	for _, a := range Check(transfers()) {
		t.Error(a)
	}
}

func TestBentTransfers(t *testing.T) {
	h := transfers()
	for name, bent := range map[string]History{
		"a reader sees one half only":       h.drop(func(e *Event) bool { return e.Kind == Read && e.Value == "t/0/0#1" }),
		"the committed view has one half":   h.drop(func(e *Event) bool { return e.Kind == View && e.Value == "t/0/1#0" }),
		"a reader sees a transfer twice":    h.also(0, of(Read, "t/0/0#0"), func(*Event) {}),
		"an aborted half shows in the view": append(slices.Clone(h), Event{Kind: Send, Value: "x", Topic: "bank", Txn: "t/0/9", Account: "1", Amount: 3}, Event{Kind: View, Topic: "bank", Value: "x", Offset: 9}),
	} {
		if found := Check(bent); !slices.ContainsFunc(found, func(a Anomaly) bool {
			return a.Name == "bank-imbalance" && strings.Contains(a.Detail, "adds up to")
		}) {
			t.Errorf("%s: found %v, want bank-imbalance", name, found)
		}
	}
}

// appended is a history of n transactions of a record each in two partitions; each one
// but the first read, in it, what the one before wrote in partition 0.
func appended(n int) History {
	var h History
	for i := range n {
		txn := fmt.Sprint("a/0/", i)
		if i > 0 {
			h = append(h, Event{Kind: Poll, Process: "a/0", Txn: txn, Topic: "l", Offset: int64(2*i - 2), Value: fmt.Sprintf("a/0/%d#0", i-1)})
		}
		for p := range int32(2) {
			value := fmt.Sprintf("%s#%d", txn, p)
			h = append(h, Event{Kind: Send, Process: "a/0", Topic: "l", Partition: p, Value: value, Txn: txn},
				Event{Kind: Ack, Process: "a/0", Topic: "l", Partition: p, Offset: int64(2 * i), Value: value, Txn: txn})
		}
		h = append(h, Event{Kind: End, Process: "a/0", Txn: txn, Commit: true}, Event{Kind: Ended, Process: "a/0", Txn: txn, Commit: true})
	}
	return append(h, stored(h)...)
}

func TestSoundAppends(t *testing.T) {
	if v := Judge(appended(4), Floors{}); len(v.Anomalies)+len(v.Allowed) > 0 || v.Figures.Polled != 3 {
		t.Errorf("%+v", v)
	}
}

func TestBentAppends(t *testing.T) {
	h := appended(4)
	poll := func(e *Event) bool { return e.Kind == Poll }
	at := func(e *Event) bool { return e.Kind == Poll && e.Offset == 2 }
	for _, c := range []struct {
		name, want string
		bent       History
	}{
		{"two transactions read each other", "G1c-circular-information-flow", h.insert(0, Event{Kind: Poll, Process: "b/0", Txn: "a/0/0", Topic: "l", Offset: 6, Value: "a/0/3#0"})},
		{"what a transaction read is gone", "vanished", h.change(0, poll, func(e *Event) { e.Value = "z" })},
		{"a transaction reads something again", "nonmonotonic-poll", h.insert(h.find(0, at), h[h.find(0, at)])},
		{"a session passes a record over", "poll-skip", h.drop(at)},
		{"a transaction reads what was aborted", "G1a-aborted-read", h.change(1, func(e *Event) bool { return e.Kind == Ended }, func(e *Event) { e.Commit = false })},
		{"a transaction reads before the commit", "precommitted-read", h.insert(0, Event{Kind: Poll, Process: "b/0", Txn: "a/0/3", Topic: "l", Offset: 0, Value: "a/0/0#0"})},
	} {
		if found := Check(c.bent); !slices.ContainsFunc(found, func(a Anomaly) bool { return a.Name == c.want }) {
			t.Errorf("%s: found %v, want %s", c.name, found, c.want)
		}
	}
}

// insert puts an event before the i-th.
func (h History) insert(i int, e Event) History { return slices.Insert(slices.Clone(h), i, e) }

// Records of two transactions in two orders are told, and are no anomaly; with reads
// between them likewise.
func TestCyclesThatKafkaAllows(t *testing.T) {
	h := appended(3).drop(func(e *Event) bool { return e.Kind == Poll })
	for i := range h { // partition 1 has them the other way round
		if e := &h[i]; e.Partition == 1 && (e.Kind == View) {
			e.Offset = 100 - e.Offset
		}
	}
	allowed := allowedCycles(newIndex(h))
	if len(allowed) != 2 || allowed[0].Name != "G0-write-cycle" || !strings.Contains(allowed[0].Detail, "3 transactions") || !strings.Contains(allowed[0].Detail, "wrote l-1@") {
		t.Errorf("%v, want one set of three transactions", allowed)
	}
	if found := circularReads(newIndex(h)); len(found) > 0 {
		t.Errorf("%v, want no cycle of reads", found)
	}
}

// A long path is no cycle, and takes no long time.
func TestNoCycleInALongPath(t *testing.T) {
	g := &graph{edges: map[string]map[string]string{}}
	for i := range 5_000 {
		g.add(fmt.Sprint(i), fmt.Sprint(i+1), "follows")
	}
	if sets := g.components(); len(sets) != 0 {
		t.Errorf("%d cycles", len(sets))
	}
	g.add("5000", "0", "follows")
	if sets := g.components(); len(sets) != 1 || len(sets[0]) != 5_001 {
		t.Errorf("%d cycles, want one of all", len(sets))
	}
}

func TestCommittedOffsetsAsRegisters(t *testing.T) {
	set := func(kind Kind, process string, offset int64) Event {
		return Event{Kind: kind, Process: process, Group: "g", Topic: "t", Offset: offset}
	}
	get := func(since int, offset int64) Event {
		return Event{Kind: Position, Process: "w", Since: since, Group: "g", Topic: "t", Offset: offset}
	}
	include := Event{Kind: Include, Process: "e/0", Txn: "e", Group: "g", Topic: "t", Offset: 5}
	end := func(kind Kind, commit bool) Event { return Event{Kind: kind, Process: "e/0", Txn: "e", Commit: commit} }
	for _, c := range []struct {
		name string
		bad  bool
		h    History
	}{
		{"none yet, then what was committed", false, History{get(0, -1), set(Commit, "a", 1), set(Committed, "a", 1), get(3, 1)}},
		{"none, after a commit was told", true, History{set(Commit, "a", 1), set(Committed, "a", 1), get(2, -1)}},
		{"none, asked for before it was told", false, History{set(Commit, "a", 1), set(Committed, "a", 1), get(1, -1)}},
		{"two at a time, either is last", false, History{set(Commit, "a", 1), set(Commit, "b", 2), set(Committed, "a", 1), set(Committed, "b", 2), get(4, 1)}},
		{"and it stays so", true, History{set(Commit, "a", 1), set(Commit, "b", 2), set(Committed, "a", 1), set(Committed, "b", 2), get(4, 1), get(5, 2)}},
		{"one that nobody was told of may come later", false, History{set(Commit, "a", 1), set(Commit, "b", 2), set(Committed, "b", 2), get(3, 2), get(4, 1)}},
		{"but not go again", true, History{set(Commit, "a", 1), set(Commit, "b", 2), set(Committed, "b", 2), get(3, 2), get(4, 1), get(5, 2)}},
		{"tried again by the same member", false, History{set(Commit, "a", 1), set(Commit, "a", 1), set(Committed, "a", 1), get(3, 1)}},
		{"of a transaction", false, History{include, get(1, -1), end(End, true), end(Ended, true), get(4, 5)}},
		{"of one that committed, and was forgotten", true, History{include, end(End, true), end(Ended, true), get(3, -1)}},
		{"of one that aborted", true, History{include, end(End, false), end(Ended, false), get(3, 5)}},
		{"of one before its end was asked for", true, History{include, get(1, 5), end(End, true), end(Ended, true)}},
		{"of one of which nobody was told", false, History{include, end(End, true), get(2, -1), get(3, 5), end(Unsure, false)}},
	} {
		if found := registers(newIndex(c.h)); (len(found) > 0) != c.bad {
			t.Errorf("%s: found %v, want an anomaly: %v", c.name, found, c.bad)
		}
	}
}

// Commits that nobody was told of and nobody read make no search longer.
func TestIdleCommitsAreLeftOut(t *testing.T) {
	var h History
	for i := range int64(1000) {
		h = append(h, Event{Kind: Commit, Process: "a", Group: "g", Topic: "t", Offset: i})
	}
	h = append(h, Event{Kind: Position, Since: len(h), Group: "g", Topic: "t", Offset: 7})
	all := newIndex(h).operations()
	if operations := all[h[0].groupPartition()]; len(operations) != 2 || porcupine.CheckOperationsTimeout(register, operations, time.Minute) != porcupine.Ok {
		t.Errorf("%d operations, want the commit of 7 and its reading, in order", len(operations))
	}
}

func TestViewOfRegisters(t *testing.T) {
	var page bytes.Buffer
	drawn, err := ViewRegisters(&page, sound())
	if err != nil || drawn != "group r, plain-0" || !strings.Contains(page.String(), "commit 2") || !strings.Contains(page.String(), "fetch: 1") {
		t.Errorf("%q, %v, want the offset to which most was done", drawn, err)
	}
	bent := sound().also(0, func(e *Event) bool { return e.Kind == Position && e.Group == "g" }, func(e *Event) { e.Since, e.Offset = len(sound()), -1 })
	if drawn, err := ViewRegisters(&page, bent); err != nil || drawn != "group g, in-0" {
		t.Errorf("%q, %v, want the offset that no order explains", drawn, err)
	}
	if _, err := ViewRegisters(&page, nil); err == nil {
		t.Error("a page of nothing")
	}
}

// Epochs that two instances were granted may be told in any order, if they asked at
// the same time; and who has the older one has lost.
func TestTakeovers(t *testing.T) {
	grants := func(since int) History {
		return History{{Kind: Grant, Process: "a", ProducerID: 1, Epoch: 5}, {Kind: Grant, Process: "b", ProducerID: 1, Epoch: 4, Since: since}}
	}
	if found := Check(grants(0)); len(found) != 1 || found[0].Name != "epoch-regress" { // 0: asked as it was answered
		t.Errorf("found %v, want epoch-regress", found)
	}
	late := append(History{{Kind: Round}}, grants(1)...)
	if found := Check(late); len(found) != 0 {
		t.Errorf("found %v of two that asked at the same time", found)
	}
	o := &owner{}
	for _, step := range []struct {
		session string
		epoch   int16
		lost    string
	}{{"a", 1, ""}, {"b", 3, "a"}, {"c", 2, "c"}, {"d", 4, "b"}} {
		if lost := o.takeover(step.session, step.epoch); lost != step.lost {
			t.Errorf("%s with epoch %d: %q has lost the id, want %q", step.session, step.epoch, lost, step.lost)
		}
	}
}

func TestEachWorkloadHasProcesses(t *testing.T) {
	names := func(workloads ...string) (names []string) {
		l := &Load{options: Options{Workloads: workloads, Transactors: 1}}
		for _, p := range l.processes() {
			if l.runs(p) {
				names = append(names, p.name)
			}
		}
		return names
	}
	for workload, want := range map[string]string{
		"":     "etl-0 member-0 etl-1 member-1 idempotent-0 idempotent-1 tv2-0 tv2-1 tv1-0 tv2-2",
		Append: "tv2-0 tv2-1 tv1-0 tv2-2 append-0 append-1", Bank: "bank-0 bank-1", ETL: "etl-0 etl-1 tv2-0", Idem: "idempotent-0 idempotent-1",
		Fence: "fence-0 fence-1", Abort: "abort-0 abort-1", Churn: "member-0 member-1 idempotent-0 churn-0 churn-1",
	} {
		var workloads []string
		if workload != "" {
			workloads = append(workloads, workload)
		}
		if got := strings.Join(names(workloads...), " "); got != want {
			t.Errorf("%q: %s, want %s", workload, got, want)
		}
	}
	if err := CheckWorkloads(append(Workloads(), "none")); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("%v, want the one that is not known", err)
	}
}

func TestAConnectionIsCut(t *testing.T) {
	s := newServer(t)
	_, c := lived(t, s, Mishaps{Cut: 1})
	write(t, c, frame(3))
	if n, err := c.Write(frame(0)); err == nil || n >= len(frame(0)) {
		t.Errorf("%d bytes, %v; want a part of the request, and an error", n, err)
	}
	s.want(t, 3)
	if _, err := c.(*wire).Conn.Read(make([]byte, 4)); err == nil {
		t.Error("the connection is open")
	} else if _, timeout := err.(net.Error); timeout && err.(net.Error).Timeout() {
		t.Errorf("%v, want a closed connection", err)
	}
}

// Each workload has a floor of its own, and each mishap that may come.
func TestFloorsOfWorkloads(t *testing.T) {
	for _, workload := range Workloads() {
		if f := FloorsOf([]string{workload}, Mishaps{}, 2); workload != Idem && fmt.Sprintf("%+v", f) == fmt.Sprintf("%+v", FloorsOf(nil, Mishaps{}, 2)) {
			t.Errorf("%s has no floor of its own", workload)
		}
	}
	v := Judge(History{{Kind: Round}}, FloorsOf(Workloads(), Mishaps{Lifetime: time.Second, Zombies: 0.1, Late: 0.1, Lost: 0.1, Cut: 0.1}, 1))
	for _, what := range []string{"acknowledged records", "ended transactions", "committed transactions", "aborted", "pipeline", "read while", "commits of groups", "producer ids", "killed clients",
		"zombies", "late copies", "lost answers", "connections cut", "transfers", "read in transactions"} {
		if !slices.ContainsFunc(v.Missed, func(m string) bool { return strings.Contains(m, what) }) {
			t.Errorf("nothing says that there were too few %s: %q", what, v.Missed)
		}
	}
}

// Where an older transaction's EndTxn came again in between, the verdict says so.
func TestALateEndIsNamed(t *testing.T) {
	h := transfers().change(1, func(e *Event) bool { return e.Kind == Ended }, func(e *Event) { e.Commit = false })
	second := h.find(0, of(Send, "t/0/1#0"))
	came := Event{Kind: Mishap, Value: LateCopy, Request: "EndTxn", Process: "t/0", Since: second}
	named := func(h History) bool {
		return slices.ContainsFunc(Check(h), func(a Anomaly) bool {
			return a.Name == "G1a-aborted-read" && strings.Contains(a.Detail, fmt.Sprintf("the request to commit t/0/0 came again in between (event %d)", second+2))
		})
	}
	if !named(h.insert(second+2, came)) {
		t.Errorf("%v, want the late copy named", Check(h.insert(second+2, came)))
	}
	other := came
	other.Process = "t/1"
	if named(h.insert(second+2, other)) || named(h) {
		t.Error("a copy is named that another session sent")
	}
}
