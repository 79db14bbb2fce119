package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	// ExpectedFail says that a case failed that Config.Expect lists.
	ExpectedFail Verdict = "XFAIL"
	// UnexpectedPass says that a case passed that Config.Expect lists.
	UnexpectedPass Verdict = "XPASS"
	// Planned says that a case would be run.
	Planned Verdict = "PLAN"
)

// bad says that a verdict fails the run.
func (v Verdict) bad() bool { return v == Fail || v == UnexpectedPass }

// severity orders verdicts: of the repetitions of a case the worst is kept.
func (v Verdict) severity() int {
	return slices.Index([]Verdict{"", Planned, Skip, Pass, Note, ExpectedFail, UnexpectedPass, Fail}, v)
}

// A Result is the verdict on one case and what it rests on.
type Result struct {
	ID          string  `json:"id"`
	Title       string  `json:"title"`
	Requirement string  `json:"requirement"`
	Level       Level   `json:"level"`
	Verdict     Verdict `json:"verdict"`
	Reason      string  `json:"reason,omitempty"` // of SKIP, NOTE, XFAIL and XPASS
	Seconds     float64 `json:"seconds"`          // of the run that is shown
	Runs        int     `json:"runs"`
	Differed    int     `json:"differed,omitempty"` // how many of the runs differed from what was demanded
	Trace       string  `json:"trace,omitempty"`    // folder with all that was sent and answered
	Destructive bool    `json:"destructive,omitempty"`
	// Oracle names the recordings of Apache Kafka that hold the rule; none: it
	// is only argued.
	Oracle []string `json:"oracle,omitempty"`
	Checks []Check  `json:"checks,omitempty"`

	looks     []RecordedLook // what a recording keeps of the checks
	exchanges []string       // and of what was sent
}

// add counts one more run of the case; the worst of them is shown.
func (r *Result) add(next Result) {
	runs, differed := r.Runs, r.Differed
	if next.Verdict.severity() > r.Verdict.severity() {
		*r = next
	}
	r.Runs, r.Differed = runs+1, differed
	if next.Verdict != Pass && next.Verdict != Skip && next.Verdict != UnexpectedPass {
		r.Differed++
	}
}

// flaky says that some runs of the case differed and others did not.
func (r Result) flaky() bool { return r.Differed > 0 && r.Differed < r.Runs }

// A Report is one run against one target.
type Report struct {
	Schema  int       `json:"schema"`
	Suite   string    `json:"suite"`
	Run     string    `json:"run"`
	Seed    uint64    `json:"seed,omitempty"` // of the order of the cases
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

// flaky lists the cases that differed in some runs only.
func (r Report) flaky() []string {
	var ids []string
	for _, one := range r.Results {
		if one.flaky() {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// Summary is the last line of a run.
func (r Report) Summary() string {
	line := fmt.Sprintf("%d passed · %d failed · %d expected failures · %d skipped (unsupported) · %d unexpected passes",
		r.Count(Pass), r.Count(Fail), r.Count(ExpectedFail), r.Count(Skip), r.Count(UnexpectedPass))
	if n := r.Count(Note); n > 0 {
		line += fmt.Sprintf(" · %d noted", n)
	}
	if n := r.Count(Planned); n > 0 {
		line = fmt.Sprintf("%d would run · %d skipped (unsupported)", n, r.Count(Skip))
	}
	if flaky := r.flaky(); len(flaky) > 0 {
		line += " · flaky: " + strings.Join(flaky, " ")
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
	if r.Verdict == Pass || r.Verdict == Skip || r.Verdict == Planned {
		return b.String()
	}
	fmt.Fprintf(&b, "   requirement %s; %s; %s\n", r.Requirement, r.Level, oracleLine(r.Oracle))
	for _, c := range r.Checks {
		if c.OK {
			continue
		}
		fmt.Fprintf(&b, "   expected    %s: %s\n   actual      %s: %s\n", c.What, c.Want, c.What, c.Got)
		if c.Kafka != "" {
			fmt.Fprintf(&b, "   kafka       %s: %s\n", c.What, c.Kafka)
		}
	}
	if r.Trace != "" {
		fmt.Fprintf(&b, "   trace       %s (%s, %s)\n", r.Trace, WireFile, TimelineFile)
	}
	fmt.Fprintf(&b, "   rerun       %s\n", r.Rerun(brokers))
	return b.String()
}

// Rerun is the command that runs the case alone.
func (r Result) Rerun(brokers []string) string {
	command := fmt.Sprintf("oncelog conformance run -b %s %s", strings.Join(brokers, ","), r.ID)
	if r.Destructive {
		command += " --destructive"
	}
	return command
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
