package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/oncelog/oncelog/conformance"
)

// Markdown writes a report as a page: what differs first, then every case.
func Markdown(w io.Writer, r conformance.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Conformance of %s\n\n%s. Suite %s, run %s, %s.\n\n**%s**\n",
		escapeMarkdown(strings.Join(r.Target.Addresses, ",")), escapeMarkdown(targetLine(r)), r.Suite, r.Run,
		r.Started.Format("2006-01-02 15:04 MST"), escapeMarkdown(r.Summary()))
	for _, one := range r.Results {
		if d := differences(one); len(d) > 0 {
			markdownDifference(&b, one, d)
		}
	}
	b.WriteString("\n## Every case\n\n| case | rule | level | verdict |\n|---|---|---|---|\n")
	for _, one := range r.Results {
		verdict := string(one.Verdict)
		if one.Reason != "" {
			verdict += ": " + one.Reason
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", one.ID, escapeMarkdown(one.Title), one.Level, escapeMarkdown(verdict))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownDifference(b *strings.Builder, r conformance.Result, d []conformance.Check) {
	fmt.Fprintf(b, "\n## %s %s: %s\n\n%s; %s; %s. %s\n\n| looked at | expected | actual | Kafka |\n|---|---|---|---|\n",
		r.Verdict, r.ID, escapeMarkdown(r.Title), escapeMarkdown(r.Requirement), r.Level, r.OracleLine(), escapeMarkdown(r.Reason))
	for _, c := range d {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", escapeMarkdown(c.What), escapeMarkdown(c.Want), escapeMarkdown(c.Got), escapeMarkdown(c.Kafka))
	}
}

var markdownEscapes = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\r", " ", "\n", " ", "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]")

// escapeMarkdown makes text from a broker plain text in a cell of a table.
func escapeMarkdown(s string) string { return markdownEscapes.Replace(s) }
