package conformance

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// judgeOffline judges a case that asks no broker.
func judgeOffline(t *testing.T, o Config, c Case) Result {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	addr := serveTiny(t) // a case that failed asks whether the target lives
	o.Brokers = []string{addr}
	s := &suite{config: o, run: "test", target: newTarget("")}
	s.cluster.Store(&cluster{
		apis:     map[int16]versions{keyProduce: {0, 11}},
		features: map[string]int16{"transaction.version": 1}, brokers: map[int32]string{1: addr},
	})
	r, _ := s.judge(t.Context(), c)
	return r
}

func TestVerdicts(t *testing.T) {
	differs := func(t *T) { t.code("answer", codeNone, codeOutOfOrderSequence, codeInvalidProducerEpoch) }
	agrees := func(t *T) { t.code("answer", codeNone, codeNone) }
	for _, tt := range []struct {
		name   string
		config Config
		c      Case
		want   Verdict
	}{
		{"agreement passes", Config{}, Case{Level: Must, Run: agrees}, Pass},
		{"a difference in MUST fails", Config{}, Case{Level: Must, Run: differs}, Fail},
		{"a difference in SHOULD is noted", Config{}, Case{Level: Should, Run: differs}, Note},
		{"a difference in SHOULD fails when strict", Config{Strict: true}, Case{Level: Should, Run: differs}, Fail},
		{"a difference in OBSERVED is noted even when strict", Config{Strict: true}, Case{Level: Observed, Run: differs}, Note},
		{"a known failure is expected", Config{Expect: map[string]string{"a/b/1": "known"}}, Case{ID: "a/b/1", Level: Must, Run: differs}, ExpectedFail},
		{"a known failure that passes is told", Config{Expect: map[string]string{"a/b/1": "known"}}, Case{ID: "a/b/1", Level: Must, Run: agrees}, UnexpectedPass},
		{"a missing version skips", Config{}, Case{Level: Must, Needs: []Need{api(keyProduce, 12)}, Run: differs}, Skip},
		{"a missing feature skips", Config{}, Case{Level: Must, Needs: tv2(), Run: differs}, Skip},
		{"too few brokers skip", Config{}, Case{Level: Must, Needs: []Need{{Brokers: 3}}, Run: differs}, Skip},
		{"a case may skip itself", Config{}, Case{Level: Must, Run: func(t *T) { t.skipf("why") }}, Skip},
		{"a fatal end fails", Config{}, Case{Level: Must, Run: func(t *T) { t.fatalf("a", "b", "c") }}, Fail},
		{"a panic fails", Config{}, Case{Level: Must, Run: func(*T) { panic("bug") }}, Fail},
		{"a case that takes too long fails", Config{Timeout: 1}, Case{Level: Must, Run: func(t *T) {
			t.until("never", func() (string, bool) { return "no", false })
		}}, Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := judgeOffline(t, tt.config, tt.c); got.Verdict != tt.want {
				t.Errorf("verdict %s (%+v), want %s", got.Verdict, got, tt.want)
			}
		})
	}
}

func TestFailureTellsWhatWasExpected(t *testing.T) {
	r := judgeOffline(t, Config{}, Case{ID: "a/b/1", Title: "rule", Requirement: "KIP-98", Level: Must, Run: func(t *T) {
		t.code("first", codeNone, codeNone)
		t.code("answer", codeInvalidProducerEpoch, codeOutOfOrderSequence)
		t.equal("offset", int64(6), 5)
	}})
	r.Seconds = 0.018
	want := strings.Join([]string{
		"a/b/1                        rule                                                                     FAIL     18ms",
		"   requirement KIP-98; MUST; argued: no recording of Apache Kafka holds it",
		"   expected    answer: OUT_OF_ORDER_SEQUENCE_NUMBER (45)",
		"   actual      answer: INVALID_PRODUCER_EPOCH (47)",
		"   expected    offset: 5",
		"   actual      offset: 6",
		"   rerun       oncelog conformance run -b h:1 a/b/1",
		"",
	}, "\n")
	if got := r.Text([]string{"h:1"}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReportSummaryAndJSON(t *testing.T) {
	r := Report{Schema: SchemaVersion, Suite: Version, Seconds: 1.25, Results: []Result{
		{ID: "a/b/1", Verdict: Pass}, {ID: "a/b/2", Verdict: Fail}, {ID: "a/b/3", Verdict: Skip}, {ID: "a/b/4", Verdict: Note},
	}}
	want := "1 passed · 1 failed · 0 expected failures · 1 skipped (unsupported) · 0 unexpected passes · 1 noted · 1.2 s"
	if got := r.Summary(); got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	if r.OK() {
		t.Error("a report with a failure is OK")
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Schema != SchemaVersion || len(back.Results) != 4 {
		t.Errorf("JSON reads back as %+v, %v", back, err)
	}
}
