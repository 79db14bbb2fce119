package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func parse(t *testing.T, line string) Rule {
	t.Helper()
	r, err := Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARuleIsReadAsItIsWritten(t *testing.T) {
	for line, want := range map[string]string{
		"drop":                              "drop times=1",
		"  lose-answer   api=produce ":      "lose-answer api=Produce times=1",
		"lose-answer api=Produce,endtxn":    "lose-answer api=Produce,EndTxn times=1",
		`drop client="my app" topic=a*`:     `drop client="my app" topic=a* times=1`,
		"delay for=2s at=answer times=all":  "delay times=all for=2s at=answer",
		"error code=6 nth=3 times=2":        "error nth=3 times=2 code=NOT_LEADER_FOR_PARTITION",
		"error code=not_coordinator":        "error times=1 code=NOT_COORDINATOR",
		"duplicate after=1m pid=4001 seq=0": "duplicate pid=4001 seq=0 times=1 after=1m0s",
		"reorder behind=2 per=partition":    "reorder times=1 per=partition for=10s behind=2",
		"drop then=hang chance=0.5 seed=7":  "drop times=all chance=0.5 seed=7 then=hang",
		"close at=answer node=0 group=g":    "close group=g node=0 times=1 at=answer",
		"hold-markers txid=pay-1 for=5s":    "hold-markers txid=pay-1 times=1 for=5s",
		"clock by=60s":                      "clock times=1 by=1m0s",
	} {
		r := parse(t, line)
		if got := r.String(); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
		if again := parse(t, r.String()); again.String() != r.String() {
			t.Errorf("%q is read as %q", r.String(), again.String())
		}
	}
}

func TestAWrongRuleIsToldWhatIsWanted(t *testing.T) {
	for line, want := range map[string]string{
		"":                                     "want one of bump-epoch, clock, close",
		"lose":                                 `act "lose"`,
		"drop api=Produze":                     "want names of APIs",
		"drop nth=0":                           "want a number from 1 on",
		"drop partition=-1":                    "want a number from 0 on",
		"drop partition=2147483648":            "want a number from 0 on",
		"drop topic=":                          "want a name",
		"drop topic":                           "want key=value",
		"drop color=red":                       `key "color", want one of api`,
		"drop for=2s":                          "for says nothing to drop",
		"drop then=explode":                    "want close or hang",
		"drop nth=1 nth=2":                     "nth is given twice",
		"delay":                                "delay wants for=",
		"delay for=-1s":                        "at most 24h",
		"delay for=25h":                        "at most 24h",
		"error":                                "error wants code=",
		"error code=0":                         "want an error code",
		"error code=NO_SUCH_THING":             "want an error code",
		"drop chance=1.1":                      "want a share",
		"drop chance=NaN":                      "want a share",
		"drop seed=1":                          "without chance=",
		`drop client="my app`:                  "the quote does not end",
		`drop client="a"topic=b`:               "want a space",
		"clock":                                "clock wants by=",
		"drop " + strings.Repeat("x", MaxRule): "want at most 4096",
	} {
		if _, err := Parse(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", shorten(line), err, want)
		}
	}
}

func TestAMatchIsReadAlone(t *testing.T) {
	m, err := ParseMatch("api=Produce topic=orders")
	if err != nil || !m.Matches(&Event{Key: 0, Parts: []Part{{Topic: "orders"}}}) || m.Matches(&Event{Key: 0, Parts: []Part{{Topic: "bills"}}}) {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err = ParseMatch(""); err != nil || !m.Matches(&Event{Key: 3}) {
		t.Errorf("of nothing: %+v, %v", m, err)
	}
	for line, want := range map[string]string{"nth=2": `key "nth", want one of api`, "drop": "want key=value", "topic=": "want a name"} {
		if _, err := ParseMatch(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", line, err, want)
		}
	}
}

func TestAFileIsLinesOrJSON(t *testing.T) {
	lines := "# two rules\n\n drop api=Produce nth=2\r\nerror code=NOT_COORDINATOR group=g\n"
	objects := `[{"act": "drop", "api": "Produce", "nth": 2}, {"act": "error", "code": "NOT_COORDINATOR", "group": "g"}]`
	for _, file := range []string{lines, objects} {
		rules, err := ParseFile([]byte(file))
		if err != nil || len(rules) != 2 || rules[0].String() != "drop api=Produce nth=2 times=1" || rules[1].String() != "error group=g times=1 code=NOT_COORDINATOR" {
			t.Errorf("%s: %v, %v", file, rules, err)
		}
	}
	for file, want := range map[string]string{
		"drop\nlose\n":                       "line 2: act",
		`[{"act": "drop", "nth": [1]}]`:      "rule 1:",
		`[{"act": "drop"}] drop`:             "something follows",
		`[{"nth": 1}]`:                       "rule 1: act",
		`{"act": "drop"}`:                    "line 1:",
		strings.Repeat("drop\n", MaxRules+1): "line 257: more than 256",
		strings.Repeat("#", MaxFile+1):       "want at most 1048576",
	} {
		if _, err := ParseFile([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", shorten(file), err, want)
		}
	}
}

func produced(client, topic string, partition int32) Event {
	return Event{Key: 0, ClientID: client, Node: 1, ProducerID: 7, Parts: []Part{{Topic: topic, Partition: partition, ProducerID: 7}}}
}

// hits are the numbers of the events, from 1, that a rule acts on.
func hits(t *testing.T, line string, events ...Event) string {
	t.Helper()
	var s Set
	if _, err := s.Add(parse(t, line)); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, e := range events {
		if h := s.Decide(e); h != nil {
			all = append(all, fmt.Sprint(i+1))
			h.Done("done")
		}
	}
	return strings.Join(all, " ")
}

func TestARuleCountsWhatItMatches(t *testing.T) {
	a, b, other := produced("app-1", "orders", 0), produced("app-2", "orders", 1), produced("app-1", "bills", 0)
	fetch := Event{Key: 1, ClientID: "app-1", Groups: []string{"g", "h"}, TransactionalID: "pay-1", ProducerID: -1, Node: 2}
	all := []Event{a, b, other, fetch, a, b, a}
	for line, want := range map[string]string{
		"drop":                                  "1",
		"drop nth=3 times=2":                    "3 4",
		"drop nth=6 times=all":                  "6 7",
		"drop api=Fetch":                        "4",
		"drop client=app-1 times=all":           "1 3 4 5 7",
		"drop client=app-* topic=orders nth=2":  "2",
		"drop topic=orders partition=1 nth=2":   "6",
		"drop topic=bills partition=1":          "",
		"drop per=client":                       "1 2",
		"drop per=partition nth=2 topic=orders": "5 6",
		"drop group=h":                          "4",
		"drop txid=pay-* times=all":             "4",
		"drop pid=7 times=all":                  "1 2 3 5 6 7",
		"drop pid=8":                            "",
		"drop node=2":                           "4",
		"drop topic=orders seq=5":               "",
		"drop chance=1":                         "1 2 3 4 5 6 7",
	} {
		if got := hits(t, line, all...); got != want {
			t.Errorf("%q acts on %q, want %q", line, got, want)
		}
	}
}

// A share is chosen by what each client does, not by how clients take turns.
func TestChanceChoosesTheSameEventsInEveryOrder(t *testing.T) {
	one, two := produced("one", "orders", 0), produced("two", "orders", 0)
	var turns, after []Event
	for range 50 {
		turns = append(turns, one, two)
	}
	for range 50 {
		after = append(after, one)
	}
	for range 50 {
		after = append(after, two)
	}
	count := func(events []Event, line string) map[string]string {
		var s Set
		if _, err := s.Add(parse(t, line)); err != nil {
			t.Fatal(err)
		}
		chosen, n := map[string]string{}, map[string]int{}
		for _, e := range events {
			n[e.ClientID]++
			if s.Decide(e) != nil {
				chosen[e.ClientID] += fmt.Sprint(n[e.ClientID], " ")
			}
		}
		return chosen
	}
	x, y := count(turns, "drop chance=0.3 seed=1"), count(after, "drop chance=0.3 seed=1")
	if x["one"] != y["one"] || x["two"] != y["two"] || x["one"] == x["two"] {
		t.Errorf("in turns %v, one after the other %v", x, y)
	}
	if n := len(strings.Fields(x["one"])); n < 5 || n > 25 {
		t.Errorf("%d of 50 chosen with chance 0.3", n)
	}
	if z := count(turns, "drop chance=0.3 seed=2"); z["one"] == x["one"] {
		t.Errorf("another seed chooses the same: %v", z)
	}
}

func TestWaitEndsWhenAHitIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		id, err := s.Add(parse(t, "drop times=2"))
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error)
		go func() { waited <- s.Wait(t.Context(), id, 2) }()
		first, second := s.Decide(produced("a", "t", 0)), s.Decide(produced("a", "t", 0))
		first.Done("dropped")
		synctest.Wait()
		select {
		case err := <-waited:
			t.Fatalf("Wait for two ended after one: %v", err)
		default:
		}
		second.Done("dropped")
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if h := s.Hits(id); len(h) != 2 || h[1].N != 2 || h[1].Outcome != "dropped" || h[1].Event.Parts[0].Topic != "t" {
			t.Errorf("hits %+v", h)
		}
		if l := s.List(); len(l) != 1 || l[0].Hits != 2 || l[0].Matched != 2 {
			t.Errorf("rules %+v", l)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Wait(ctx, id, 3); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 times, want 3") {
			t.Errorf("Wait for three: %v", err)
		}
		go func() { waited <- s.Wait(t.Context(), id, 3) }()
		synctest.Wait()
		if err := s.Remove(id); err != nil {
			t.Error(err)
		}
		if err := <-waited; !errors.Is(err, ErrNoRule) {
			t.Errorf("Wait for a rule that is removed: %v", err)
		}
		if err := s.Remove(id); !errors.Is(err, ErrNoRule) {
			t.Errorf("removed twice: %v", err)
		}
	})
}

func TestASetIsBounded(t *testing.T) {
	var s Set
	for range MaxRules {
		if _, err := s.Add(parse(t, "drop times=all per=client")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(parse(t, "drop")); err == nil {
		t.Error("one rule more than there may be was taken")
	}
	s.Clear()
	if _, err := s.Add(parse(t, "drop times=all per=client")); err != nil {
		t.Fatal(err)
	}
	for i := range maxCounted + 10 {
		s.Decide(produced(fmt.Sprint(i), "t", 0)).Done("")
	}
	if n := len(s.rules[0].counts); n > maxCounted+1 {
		t.Errorf("%d clients are counted apart, want %d at most", n, maxCounted)
	}
	if n := len(s.Hits("")); n != maxHits {
		t.Errorf("%d hits are kept, want %d", n, maxHits)
	}
}

func TestDescribe(t *testing.T) {
	id := [16]byte{1}
	names := func(of [16]byte) string { return map[[16]byte]string{id: "orders"}[of] }
	batch := make([]byte, 61)
	batch[16], batch[50], batch[52], batch[56] = 2, 9, 3, 5 // magic, producer id, epoch, sequence
	txid := "pay-1"
	orders := func(p int32) Part {
		return Part{Topic: "orders", Partition: p, ProducerID: -1, ProducerEpoch: -1, Sequence: -1}
	}
	for name, c := range map[string]struct {
		request kmsg.Request
		want    Event
	}{
		"produce by id": {&kmsg.ProduceRequest{Version: 13, TransactionID: &txid, Topics: []kmsg.ProduceRequestTopic{{TopicID: id, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 2, Records: batch}}}}},
			Event{TransactionalID: "pay-1", ProducerID: 9, ProducerEpoch: 3, Parts: []Part{{"orders", 2, 9, 3, 5}}}},
		"fetch": {&kmsg.FetchRequest{Version: 12, Topics: []kmsg.FetchRequestTopic{{Topic: "orders", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0}, {Partition: 1}}}}},
			Event{ProducerID: -1, ProducerEpoch: -1, Parts: []Part{orders(0), orders(1)}}},
		"metadata": {&kmsg.MetadataRequest{Version: 12, Topics: []kmsg.MetadataRequestTopic{{Topic: &[]string{"orders"}[0]}}},
			Event{ProducerID: -1, ProducerEpoch: -1, Parts: []Part{orders(-1)}}},
		"add partitions": {&kmsg.AddPartitionsToTxnRequest{Version: 3, TransactionalID: txid, ProducerID: 4, ProducerEpoch: 1, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "orders", Partitions: []int32{0, 7}}}},
			Event{TransactionalID: "pay-1", ProducerID: 4, ProducerEpoch: 1, Parts: []Part{orders(0), orders(7)}}},
		"offset fetch": {&kmsg.OffsetFetchRequest{Version: 8, Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g"}, {Group: "h"}}},
			Event{Groups: []string{"g", "h"}, ProducerID: -1, ProducerEpoch: -1}},
		"coordinator of a transactional id": {&kmsg.FindCoordinatorRequest{Version: 4, CoordinatorType: 1, CoordinatorKeys: []string{"pay-1"}},
			Event{TransactionalID: "pay-1", ProducerID: -1, ProducerEpoch: -1}},
		"coordinator of a group": {&kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g"},
			Event{Groups: []string{"g"}, ProducerID: -1, ProducerEpoch: -1}},
		"delete topics": {&kmsg.DeleteTopicsRequest{Version: 5, TopicNames: []string{"orders"}},
			Event{ProducerID: -1, ProducerEpoch: -1, Parts: []Part{orders(-1)}}},
	} {
		var got Event
		got.Describe(c.request, names)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Every request of kmsg can be described.
func TestDescribeTakesAllRequests(t *testing.T) {
	for key := range int16(kmsg.MaxKey + 1) {
		r := kmsg.RequestForKey(key)
		if r == nil {
			continue
		}
		var e Event
		e.Describe(r, func([16]byte) string { return "" })
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`lose-answer api=Produce,EndTxn client="my \"app" topic=a* nth=2 times=all per=client chance=0.25 seed=1 then=hang`)
	f.Add("reorder behind=3 for=2s partition=0 pid=9223372036854775807 seq=0 node=1 group=g txid=t")
	f.Add("error code=NOT_LEADER_OR_FOLLOWER at=answer")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := Parse(line)
		if err != nil {
			if len(err.Error()) > 2*MaxRule {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if len(r.String()) > MaxRule { // quoting may make it longer than may be read
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q is %q, which is read as %q, %v", line, r.String(), again.String(), err)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(`[{"act": "drop", "nth": 2, "topic": "a"}]`))
	f.Add([]byte("# none\ndrop\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if rules, err := ParseFile(file); err == nil && len(rules) > MaxRules {
			t.Errorf("%d rules", len(rules))
		}
	})
}
