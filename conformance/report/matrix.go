package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/oncelog/oncelog/conformance"
)

// A Named is a report and what the matrix calls its target.
type Named struct {
	Name   string
	Report conformance.Report
}

// cells are the verdicts as the matrix shows them.
var cells = map[conformance.Verdict]string{
	"": " ", conformance.Pass: "✓", conformance.Fail: "**fails**", conformance.Skip: "–",
	conformance.Note: "differs", conformance.ExpectedFail: "**fails**", conformance.UnexpectedPass: "✓",
}

// Matrix writes one table for several targets, a row a case: how many rules
// each keeps, and which.
func Matrix(w io.Writer, reports []Named) error {
	var b strings.Builder
	b.WriteString("| target | kept | fails | differs, and may | not offered | seconds |\n|---|---|---|---|---|---|\n")
	for _, n := range reports {
		r := n.Report
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.0f |\n", escapeMarkdown(n.Name), r.Count(conformance.Pass)+r.Count(conformance.UnexpectedPass),
			r.Count(conformance.Fail)+r.Count(conformance.ExpectedFail), r.Count(conformance.Note), r.Count(conformance.Skip), r.Seconds)
	}
	b.WriteString("\n| case | rule | level |")
	for _, n := range reports {
		fmt.Fprintf(&b, " %s |", escapeMarkdown(n.Name))
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(reports)) + "\n")
	for _, row := range rows(reports) {
		fmt.Fprintf(&b, "| %s | %s | %s |", row[0].ID, escapeMarkdown(row[0].Title), row[0].Level)
		for _, one := range row[1:] {
			fmt.Fprintf(&b, " %s |", cells[one.Verdict])
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rows are the cases in the order in which the reports name them first: the
// case, then its result in each report, empty where it was not run.
func rows(reports []Named) [][]conformance.Result {
	var all [][]conformance.Result
	at := map[string]int{}
	for i, n := range reports {
		for _, r := range n.Report.Results {
			j, ok := at[r.ID]
			if !ok {
				j = len(all)
				at[r.ID] = j
				all = append(all, make([]conformance.Result, 1+len(reports)))
				all[j][0] = r
			}
			all[j][1+i] = r
		}
	}
	return all
}
