package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/conformance"
)

// hostile is what a broker may answer to spoil a page.
const hostile = "<script>alert(1)</script> | `x` & \"y\" ]]> \x01 \xff"

// sample is a report with each verdict.
func sample() conformance.Report {
	r := conformance.Report{
		Schema: conformance.SchemaVersion, Suite: "0.1", Run: "0a0b0c0d", Started: time.Date(2026, 11, 3, 4, 5, 6, 0, time.UTC), Seconds: 1.5,
		Target: conformance.Target{Addresses: []string{"127.0.0.1:9092"}, ClusterID: hostile, Brokers: 1, Speaks: "v4.1", Features: map[string]int16{"transaction.version": 2}},
	}
	for i, v := range []conformance.Verdict{conformance.Pass, conformance.Fail, conformance.Skip, conformance.Note, conformance.ExpectedFail, conformance.UnexpectedPass} {
		one := conformance.Result{ID: []string{"a/b/1", "a/b/2", "c/d/1", "c/d/2", "c/d/3", "c/d/4"}[i], Title: "a rule <of> Kafka", Requirement: "KIP-98 & more", Level: conformance.Must, Verdict: v, Seconds: 0.25, Runs: 2}
		switch v {
		case conformance.Fail, conformance.Note, conformance.ExpectedFail:
			one.Oracle = []string{"kafka-4.3.1"}
			one.Differed, one.Trace, one.Destructive = 1, ".oncelog/runs/1/a b", true
			one.Checks = []conformance.Check{{What: "first", Want: "1", Got: "1", OK: true}, {What: "answer", Want: "NONE", Got: hostile, Kafka: "NONE (kafka-4.3.1)"}}
		}
		if v != conformance.Pass && v != conformance.Fail {
			one.Reason = "because of " + hostile
		}
		r.Results = append(r.Results, one)
	}
	return r
}

func TestJSONReadsBack(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil || len(back.Results) != len(sample().Results) || back.Results[1].Checks[1].What != "answer" {
		t.Errorf("reads back as %+v, %v", back, err)
	}
	for name, text := range map[string]string{"another version": `{"schema": 2}`, "no report": `[]`, "nothing": ``} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrNotAReport) {
			t.Errorf("%s: %v, want %v", name, err, ErrNotAReport)
		}
	}
}

func TestJUnitIsWellFormedAndCounts(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var root junitSuites
	if err := xml.Unmarshal(b.Bytes(), &root); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if root.Tests != 6 || root.Failures != 2 || len(root.Suites) != 2 {
		t.Errorf("%d tests, %d failures, %d suites; want 6, 2, 2", root.Tests, root.Failures, len(root.Suites))
	}
	for i, want := range []junitSuite{{Name: "a", Tests: 2, Failures: 1, Time: "0.500"}, {Name: "c", Tests: 4, Failures: 1, Skipped: 1, Time: "1.000"}} {
		got := root.Suites[i]
		if len(got.Cases) != want.Tests || got.Name != want.Name || got.Tests != want.Tests || got.Failures != want.Failures || got.Skipped != want.Skipped || got.Time != want.Time {
			t.Errorf("suite %+v, want %+v", got, want)
		}
	}
	failure := root.Suites[0].Cases[1].Failure
	if failure == nil || !strings.Contains(failure.Message, "answer: expected NONE, actual <script>") || !strings.Contains(failure.Text, "rerun") {
		t.Errorf("the failure tells %+v", failure)
	}
	if root.Suites[1].Cases[1].Output == "" {
		t.Error("what is noted tells nothing")
	}
}

func TestMarkdownKeepsItsTables(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b, sample()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Contains(text, "<script>") {
		t.Error("an answer of the broker is not escaped")
	}
	cells := 0
	unescaped := regexp.MustCompile(`(^|[^\\])\|`)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := len(unescaped.FindAllString(line, -1))
		if cells != 0 && n != cells {
			t.Errorf("a row of %d cells in a table of %d: %s", n, cells, line)
		}
		cells = n
	}
	for _, want := range []string{"## FAIL a/b/2", "| a/b/1 |", "1 failed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestHTMLIsOnePageAndEscaped(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Contains(text, "<script") {
		t.Error("the page holds a script")
	}
	for _, link := range regexp.MustCompile(`(?i)(?:src|href|url)\s*[=(]\s*["']?([^"')>\s]*)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"data:,", ".oncelog/runs/1/a%20b/timeline.html", ".oncelog/runs/1/a%20b/wire.jsonl"}, link[1]) {
			t.Errorf("the page points to %q", link[1])
		}
	}
	for _, want := range []string{"prefers-color-scheme: dark", "&lt;script&gt;", `id="a/b/2"`, "a rule &lt;of&gt; Kafka", "oncelog conformance run -b 127.0.0.1:9092 a/b/2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, tag := range []string{"table", "tr", "td", "details", "article", "ul", "p", "span"} {
		opened := len(regexp.MustCompile(`<`+tag+`[ >]`).FindAllString(text, -1))
		if closed := strings.Count(text, "</"+tag+">"); opened != closed {
			t.Errorf("%d of <%s> opened, %d closed", opened, tag, closed)
		}
	}
}

func TestFilesPointToTracesBesideThem(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("out", 0o755); err != nil {
		t.Fatal(err)
	}
	r := sample()
	name := filepath.Join("out", "r.json")
	if err := WriteFile(name, Forms["json"], r); err != nil {
		t.Fatal(err)
	}
	back, err := ReadFile(name)
	if want := filepath.Join("..", ".oncelog", "runs", "1", "a b"); err != nil || back.Results[1].Trace != want {
		t.Errorf("the trace is at %q (%v), want %q", back.Results[1].Trace, err, want)
	}
	if r.Results[1].Trace != ".oncelog/runs/1/a b" {
		t.Error("writing changed the report")
	}
}

func TestDiff(t *testing.T) {
	before, after := sample(), sample()
	after.Results[0].Verdict = conformance.Fail // worse
	after.Results[1].Verdict = conformance.Pass // better
	after.Results[1].Checks = nil
	before.Results[2].Verdict = conformance.Pass // skipped now
	before.Results = append(before.Results, conformance.Result{ID: "e/f/1", Verdict: conformance.Pass})
	changes := Diff(before, after)
	var got []string
	for _, c := range changes {
		line := c.ID + " " + string(c.Before) + " " + string(c.After)
		if c.Worse() {
			line += " worse"
		}
		got = append(got, line)
	}
	want := []string{"a/b/1 PASS FAIL worse", "a/b/2 FAIL PASS", "c/d/1 PASS SKIP", "e/f/1 PASS "}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if !strings.Contains(changes[1].Why, "expected NONE") {
		t.Errorf("what was mended is told as %q", changes[1].Why)
	}
	for name, write := range map[string]func(io.Writer, []Change) error{"text": DiffText, "markdown": DiffMarkdown} {
		var b bytes.Buffer
		if err := write(&b, changes); err != nil || strings.Count(b.String(), "\n") < 1+len(changes) {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
	if Diff(after, after) != nil {
		t.Error("a report differs from itself")
	}
}

func TestMatrixHasARowACase(t *testing.T) {
	other := sample()
	other.Results = append(other.Results[1:], conformance.Result{ID: "e/f/1", Title: "only here", Level: conformance.Must, Verdict: conformance.Pass})
	var b bytes.Buffer
	if err := Matrix(&b, []Named{{"one | two", sample()}, {"other", other}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`| one \| two | 2 | 2 | 1 | 1 | 2 |`, `| case | rule | level | one \| two | other |`,
		"| a/b/1 | a rule &lt;of&gt; Kafka | MUST | ✓ |   |", "| a/b/2 | a rule &lt;of&gt; Kafka | MUST | **fails** | **fails** |", "| e/f/1 | only here | MUST |   | ✓ |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("the matrix lacks %q:\n%s", want, b.String())
		}
	}
}
