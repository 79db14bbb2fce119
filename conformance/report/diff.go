package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/oncelog/oncelog/conformance"
)

// A Change is one case on which two reports do not agree.
type Change struct {
	ID     string              `json:"id"`
	Title  string              `json:"title"`
	Level  conformance.Level   `json:"level"`
	Before conformance.Verdict `json:"before,omitempty"` // "": the case was not there
	After  conformance.Verdict `json:"after,omitempty"`
	Why    string              `json:"why,omitempty"` // the first difference of the one that differs
}

// Worse says that a rule was kept before and is not after.
func (c Change) Worse() bool {
	kept := c.Before == conformance.Pass || c.Before == conformance.UnexpectedPass
	return kept && c.After != conformance.Pass && c.After != conformance.UnexpectedPass && c.After != conformance.Skip && c.After != ""
}

// Diff lists the cases whose verdicts differ, in the order of the second
// report, and then those that only the first has.
func Diff(before, after conformance.Report) []Change {
	old := map[string]conformance.Result{}
	for _, r := range before.Results {
		old[r.ID] = r
	}
	var changes []Change
	for _, now := range after.Results {
		was := old[now.ID]
		delete(old, now.ID)
		if was.Verdict != now.Verdict {
			changes = append(changes, Change{now.ID, now.Title, now.Level, was.Verdict, now.Verdict, why(was, now)})
		}
	}
	for _, was := range before.Results {
		if _, gone := old[was.ID]; gone {
			changes = append(changes, Change{was.ID, was.Title, was.Level, was.Verdict, "", why(was, conformance.Result{})})
		}
	}
	return changes
}

// why is the first thing that the one that differs differs in.
func why(was, now conformance.Result) string {
	if s := firstDifference(now); s != "" {
		return s
	}
	return firstDifference(was)
}

// DiffText writes changes as a table for a terminal.
func DiffText(w io.Writer, changes []Change) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tBEFORE\tAFTER\tRULE\tWHY")
	for _, c := range changes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.ID, orDash(c.Before), orDash(c.After), c.Title, c.Why)
	}
	return table.Flush()
}

// DiffMarkdown writes changes as a table for a page.
func DiffMarkdown(w io.Writer, changes []Change) error {
	var b strings.Builder
	b.WriteString("| case | rule | before | after | why |\n|---|---|---|---|---|\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, escapeMarkdown(c.Title), orDash(c.Before), orDash(c.After), escapeMarkdown(c.Why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orDash(v conformance.Verdict) conformance.Verdict {
	if v == "" {
		return "-"
	}
	return v
}
