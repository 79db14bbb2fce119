package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// SchemaVersion is the version of the JSON a report is written as.
const SchemaVersion = 1

// A Verdict is what became of a case.
type Verdict string

const (
	// Pass says that all was as demanded.
	Pass Verdict = "PASS"
	// Fail says that something differs that must not.
	Fail Verdict = "FAIL"
	// Skip says that the target does not offer what the case needs.
	Skip Verdict = "SKIP"
	// Note says that something differs that may.
	Note Verdict = "NOTE"
	// ExpectedFail says that a case failed that Options.Expect lists.
	ExpectedFail Verdict = "XFAIL"
	// UnexpectedPass says that a case passed that Options.Expect lists.
	UnexpectedPass Verdict = "XPASS"
)

// A Result is the verdict on one case and what it rests on.
type Result struct {
	ID          string  `json:"id"`
	Title       string  `json:"title"`
	Requirement string  `json:"requirement"`
	Level       Level   `json:"level"`
	Verdict     Verdict `json:"verdict"`
	Reason      string  `json:"reason,omitempty"` // of SKIP, NOTE, XFAIL and XPASS
	Seconds     float64 `json:"seconds"`
	Checks      []Check `json:"checks,omitempty"`
}

// A Report is one run against one target.
type Report struct {
	Schema  int       `json:"schema"`
	Suite   string    `json:"suite"`
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Target  Target    `json:"target"`
	Results []Result  `json:"results"`
}

// Count is the number of results with a verdict.
func (r Report) Count(v Verdict) int {
	n := 0
	for _, one := range r.Results {
		if one.Verdict == v {
			n++
		}
	}
	return n
}

// OK says that nothing failed and nothing passed that was expected to fail.
func (r Report) OK() bool { return r.Count(Fail) == 0 && r.Count(UnexpectedPass) == 0 }

// Summary is the last line of a run.
func (r Report) Summary() string {
	line := fmt.Sprintf("%d passed · %d failed · %d expected failures · %d skipped (unsupported) · %d unexpected passes",
		r.Count(Pass), r.Count(Fail), r.Count(ExpectedFail), r.Count(Skip), r.Count(UnexpectedPass))
	if n := r.Count(Note); n > 0 {
		line += fmt.Sprintf(" · %d noted", n)
	}
	return line + fmt.Sprintf(" · %.1f s", r.Seconds)
}

// WriteText writes the whole report for a terminal.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.head())
	for _, one := range r.Results {
		b.WriteString(one.Text(r.Target.Addresses))
	}
	b.WriteString(r.Summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the whole report as one JSON document.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r Report) head() string {
	return fmt.Sprintf("target  speaks Kafka %s (from ApiVersions), brokers: %d, cluster id %s\nsuite   %s, run %s\n",
		strings.TrimPrefix(r.Target.Speaks, "v"), r.Target.Brokers, r.Target.ClusterID, r.Suite, r.Run)
}

// Text is one line for a case that passed; what differs, and how to run the
// case alone, follow below one that did not.
func (r Result) Text(brokers []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %-72s %-5s %5.0fms\n", r.ID, r.Title, r.Verdict, r.Seconds*1000)
	if r.Reason != "" {
		fmt.Fprintf(&b, "   reason      %s\n", r.Reason)
	}
	if r.Verdict == Pass || r.Verdict == Skip {
		return b.String()
	}
	fmt.Fprintf(&b, "   requirement %s; %s\n", r.Requirement, r.Level)
	for _, c := range r.Checks {
		if c.OK {
			continue
		}
		fmt.Fprintf(&b, "   expected    %s: %s\n   actual      %s: %s\n", c.What, c.Want, c.What, c.Got)
	}
	fmt.Fprintf(&b, "   rerun       oncelog conformance run -b %s %s\n", strings.Join(brokers, ","), r.ID)
	return b.String()
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
