package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/conformance/wire"
)

// TestOracleHoldsTheRules compares the recordings with the cases. A case that
// is newer than the recordings is argued until it is recorded; one that Kafka
// was asked and did not keep is a wrong case.
func TestOracleHoldsTheRules(t *testing.T) {
	ids := map[string]bool{}
	recorded := 0
	for _, c := range Cases() {
		ids[c.ID] = true
		if len(recordedBy(c.ID)) > 0 {
			recorded++
		} else {
			t.Logf("%s is only argued", c.ID)
		}
	}
	if recorded < 170 {
		t.Errorf("%d rules are recorded, want 170 or more", recorded)
	}
	for _, r := range oracle() {
		if _, err := os.Stat(filepath.Join("oracle", r.Name+".json")); err != nil {
			t.Errorf("recording %q is in a file of another name: %v", r.Name, err)
		}
		for _, rule := range r.Rules {
			if !ids[rule.ID] {
				t.Errorf("%s records %s, which is no case", r.Name, rule.ID)
			}
			if rule.Verdict != Pass && rule.Verdict != Skip {
				t.Errorf("%s does not keep %s", r.Name, rule.ID)
			}
		}
	}
}

func TestPartOfARecordingIsMadeAnew(t *testing.T) {
	old := Recording{Name: "k", Rules: []RecordedRule{{ID: "protocol/versions/2", Verdict: Fail}, {ID: "txn/empty/1", Verdict: Pass}, {ID: "topic/elect/2", Verdict: Pass}}}
	got := old.With(Recording{Name: "k", Speaks: "v4", Rules: []RecordedRule{{ID: "idempotence/window/1", Verdict: Pass}, {ID: "protocol/versions/2", Verdict: Pass}, {ID: "topic/elect/2", Verdict: Skip}, {ID: "topic/reassign/2", Verdict: Skip}}})
	var rules []string
	for _, r := range got.Rules {
		rules = append(rules, r.ID+" "+string(r.Verdict))
	}
	if want := []string{"protocol/versions/2 PASS", "idempotence/window/1 PASS", "topic/elect/2 PASS", "topic/reassign/2 SKIP", "txn/empty/1 PASS"}; !slices.Equal(rules, want) || got.Speaks != "v4" {
		t.Errorf("%q of %+v, want %q", rules, got, want)
	}
}

func TestNormaliserTakesOutWhatDiffersBetweenRuns(t *testing.T) {
	n := newNormaliser("oncelog-0a-txn-init-1-7", []string{"127.0.0.1:9092"})
	for _, tt := range []struct{ what, got, want string }{
		{"value", "4001/0/5 4002/1/0 4001/0/6", "P1/0/5 P2/1/0 P1/0/6"},
		{"oncelog-0a-txn-init-1-7-topic1", "at 127.0.0.1:9092", "at host:port"},
		{"producer id and epoch", "4002 3", "P2 3"},
		{"offset", "4002", "4002"},
		{"member", "oncelog-12345678-1234-1234-1234-123456789abc", "oncelog-(uuid)"},
		{"topic id", "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 255]", "(id)"},
		{"start", "1795300000000", "(time)"},
		{"wait", "210.5ms", "(duration)"},
		{"codes", "OUT_OF_ORDER_SEQUENCE_NUMBER (45)", "OUT_OF_ORDER_SEQUENCE_NUMBER (45)"},
	} {
		if got := n.looked(tt.what, tt.got); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.what, tt.got, got, tt.want)
		}
	}
	if got := n.text("oncelog-0a-txn-init-1-7-topic1"); got != "topic1" {
		t.Errorf("a name becomes %q, want topic1", got)
	}
}

func TestExchangesTellSalientFieldsOnce(t *testing.T) {
	ask := func(correlation int32, body string) wire.Entry {
		return wire.Entry{Direction: "request", API: "EndTxn", Version: 5, Conn: 1, Correlation: correlation, Body: json.RawMessage(body)}
	}
	tell := func(correlation int32, body string) wire.Entry {
		return wire.Entry{Direction: "answer", API: "EndTxn", Version: 5, Conn: 1, Correlation: correlation, Body: json.RawMessage(body)}
	}
	const first, ended = `{"TransactionalID":"Commit","ProducerID":4001,"Commit":true,"Other":[{"Offset":-1}]}`, `{"ThrottleMillis":3,"Error":"NONE","ProducerID":4001,"LeaderEpoch":-1}`
	retried, whole := ask(2, first), ask(5, first)
	retried.Retried, whole.ClientID = true, wholeClient
	got := newNormaliser("p", nil).exchanges([]wire.Entry{
		ask(1, first), tell(1, ended), retried, tell(2, ended), ask(3, first), tell(3, ended), ask(4, `{"ProducerID":4007}`), whole, tell(5, ended),
	})
	want := []string{"EndTxn v5 ProducerID=P1 Commit=true Offset=-1 -> Error=NONE ProducerID=P1", "EndTxn v5 ProducerID=P2 -> no answer"}
	if !slices.Equal(got, want) {
		t.Errorf("told as %q, want %q", got, want)
	}
}

func TestMergeKeepsWhatIsTheSame(t *testing.T) {
	rule := RecordedRule{Verdict: Pass, Looks: []RecordedLook{{"a", "1"}, {"b", "1"}, {"a", "2"}, {"gone", "1"}}, Exchanges: []string{"x", "y", "z"}}
	rule.merge(RecordedRule{Verdict: Fail, Looks: []RecordedLook{{"a", "1"}, {"b", "2"}, {"a", "2"}}, Exchanges: []string{"z", "x"}})
	if want := []RecordedLook{{"a", "1"}, {"b", varies}, {"a", "2"}}; !slices.Equal(rule.Looks, want) {
		t.Errorf("looks %v, want %v", rule.Looks, want)
	}
	if rule.Verdict != Fail || !slices.Equal(rule.Exchanges, []string{"x", "z"}) {
		t.Errorf("merged to %+v", rule)
	}
}

func TestRecordTellsWhatIsTheSameInEachRound(t *testing.T) {
	config := Config{Brokers: []string{serveTiny(t)}, Filter: []string{"protocol/versions/2", "produce/minisr/1"}}
	var both [2]bytes.Buffer
	for i := range both {
		recording, err := Record(t.Context(), config, "tiny", 2)
		if err != nil {
			t.Fatal(err)
		}
		if differ := recording.Differ(); !slices.Equal(differ, []string{"produce/minisr/1"}) {
			t.Errorf("the tiny broker does not keep %q", differ)
		}
		if err := recording.WriteJSON(&both[i]); err != nil {
			t.Fatal(err)
		}
	}
	if both[0].String() != both[1].String() {
		t.Errorf("two recordings differ:\n%s\n%s", both[0].String(), both[1].String())
	}
	if want := `"ApiVersions v0 -> Error=NONE"`; !strings.Contains(both[0].String(), want) {
		t.Errorf("the recording lacks %s:\n%s", want, both[0].String())
	}
	var back Recording
	if err := json.Unmarshal(both[0].Bytes(), &back); err != nil || back.Name != "tiny" || len(back.Rules) != 2 || len(back.Rules[0].Looks) == 0 {
		t.Errorf("reads back as %+v, %v", back, err)
	}
	if _, err := Record(t.Context(), Config{Brokers: config.Brokers, Filter: []string{"none"}}, "tiny", 1); !errors.Is(err, ErrConfig) {
		t.Errorf("a filter that selects nothing: %v, want %v", err, ErrConfig)
	}
}

func TestExplainTellsWhatKafkaAnswers(t *testing.T) {
	cases, err := Select(Cases(), []string{"idempotence/window/3"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Explain(cases[0]).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MUST", "recorded: kafka-", "> Produce v13", "< Error=OUT_OF_ORDER_SEQUENCE_NUMBER", "run -b HOST:PORT idempotence/window/3"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the explanation lacks %q:\n%s", want, b.String())
		}
	}
}

func TestExplainTellsHowOldARuleIs(t *testing.T) {
	cases, err := Select(Cases(), []string{"produce/time/1"})
	if err != nil {
		t.Fatal(err)
	}
	if e := Explain(cases[0]); !slices.Equal(e.Needs, []string{"Kafka 4.0 (Metadata v13)"}) || slices.Contains(e.Recorded, "kafka-3.9.2") || !slices.Contains(e.Recorded, "kafka-4.3.1") {
		t.Errorf("needs %q, recorded by %q; want kafka-4.3.1 and not kafka-3.9.2, which is older than the rule (KIP-1030)", e.Needs, e.Recorded)
	}
}

func TestLookFindsTheNthOfItsName(t *testing.T) {
	rule := RecordedRule{Looks: []RecordedLook{{"its base offset", "1"}, {"code", "NONE"}, {"its base offset", "2"}}}
	for nth, want := range []string{"1", "2", ""} {
		if got, ok := rule.look("its base offset", nth); got != want || ok != (want != "") {
			t.Errorf("look %d is %q, %t, want %q", nth, got, ok, want)
		}
	}
}

func TestFailureTellsWhatKafkaAnswered(t *testing.T) {
	r := judgeOffline(t, Config{}, Case{ID: "idempotence/window/3", Level: Must, Run: func(t *T) {
		t.code("retry of sequence 0 of 0..5", codeNone, codeOutOfOrderSequence)
	}})
	if text := r.Text([]string{"h:1"}); !strings.Contains(text, "kafka       retry of sequence 0 of 0..5: OUT_OF_ORDER_SEQUENCE_NUMBER (45) (kafka-4.3.1") {
		t.Errorf("told as\n%s", text)
	}
}
