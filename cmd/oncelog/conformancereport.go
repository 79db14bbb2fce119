package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/conformance/report"
)

// conformanceReport turns a report that was written as JSON into other forms.
func (a *app) conformanceReport() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:     "report FILE",
		Short:   "Print a report that run wrote as JSON in another form",
		Example: "  oncelog conformance report r.json --as html > r.html",
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			write, ok := report.Forms[form]
			if !ok {
				return usage("--as is %q, want one of %s", form, report.FormNames())
			}
			r, err := report.ReadFile(args[0])
			if err != nil {
				return usage("%w", err)
			}
			return write(a.out, r)
		},
	}
	cmd.Flags().StringVar(&form, "as", "text", "form: "+report.FormNames())
	return cmd
}

// conformanceDiff compares two runs.
func (a *app) conformanceDiff() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "List the cases on which two reports do not agree",
		Long: `List the cases on which two reports, written by run --json, do not agree: two
brokers, or one before and after a change.

Exit code 1: a rule that the first keeps is not kept by the second.`,
		Args: exactly("BEFORE", "AFTER"),
		RunE: func(_ *cobra.Command, args []string) error {
			var both [2]conformance.Report
			for i := range both {
				var err error
				if both[i], err = report.ReadFile(args[i]); err != nil {
					return usage("%w", err)
				}
			}
			return a.diff(report.Diff(both[0], both[1]), markdown)
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print a Markdown table")
	return cmd
}

func (a *app) diff(changes []report.Change, markdown bool) error {
	var err error
	switch {
	case markdown:
		err = report.DiffMarkdown(a.out, changes)
	case a.format == "json":
		err = a.printJSON(append([]report.Change{}, changes...))
	default:
		err = report.DiffText(a.out, changes)
	}
	if err != nil {
		return err
	}
	var worse []string
	for _, c := range changes {
		if c.Worse() {
			worse = append(worse, c.ID)
		}
	}
	if len(worse) > 0 {
		return failed(exitFailed, "kept before and not after: %s", strings.Join(worse, " "))
	}
	return nil
}

// conformanceExplain tells of one rule.
func (a *app) conformanceExplain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain ID...",
		Short:   "Tell what a rule demands, where it comes from and what it needs",
		Example: "  oncelog conformance explain idempotence/window/3",
		RunE: func(_ *cobra.Command, ids []string) error {
			if len(ids) == 0 {
				return usage("explain wants an id: oncelog conformance list shows them")
			}
			cases, err := conformance.Select(conformance.Cases(), ids)
			if err != nil {
				return usage("%w", err)
			}
			if a.format == "json" {
				explained := []conformance.Explanation{}
				for _, c := range cases {
					explained = append(explained, conformance.Explain(c))
				}
				return a.printJSON(explained)
			}
			for i, c := range cases {
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				if err := conformance.Explain(c).WriteText(a.out); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
