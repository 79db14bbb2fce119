package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// conformanceMatrix holds several targets side by side.
func (a *app) conformanceMatrix() *cobra.Command {
	return &cobra.Command{
		Use:     "matrix NAME=FILE...",
		Short:   "Print a Markdown table of several targets, from the reports that run wrote as JSON",
		Example: "  oncelog conformance matrix 'Apache Kafka 4.3.1=kafka.json' mine=mine.json > matrix.md",
		RunE: func(_ *cobra.Command, args []string) error {
			var reports []report.Named
			for _, arg := range args {
				name, file, ok := strings.Cut(arg, "=")
				if !ok {
					return usage("%q is not NAME=FILE", arg)
				}
				r, err := report.ReadFile(file)
				if err != nil {
					return usage("%w", err)
				}
				reports = append(reports, report.Named{Name: name, Report: r})
			}
			if len(reports) == 0 {
				return usage("matrix wants at least one NAME=FILE")
			}
			return report.Matrix(a.out, reports)
		},
	}
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

// conformanceRecord makes a recording of a broker.
func (a *app) conformanceRecord() *cobra.Command {
	var config conformance.Config
	var to string
	var rounds int
	cmd := &cobra.Command{
		Use:   "record NAME",
		Short: "Write down what a broker answers, as the oracle of other runs",
		Long: `Ask a broker every case, several times, and write what it answered each time to
FOLDER/NAME.json, without names, ids, ports and times. Recordings in
conformance/oracle are built into the program: explain and run tell from them
what Apache Kafka answers. Of what FOLDER/NAME.json holds already, cases that
were not asked this time stay: those that --filter leaves out, and those that
want more brokers than there are.

Exit code 1: the broker did not keep every rule; the recording says which.`,
		Example: "  oncelog conformance record kafka-4.3.1 -b localhost:9092",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.client.brokers = config.Brokers
			config.Status = a.terminal()
			recording, err := conformance.Record(cmd.Context(), config, args[0], rounds)
			if err != nil {
				return a.suiteError(err)
			}
			name := filepath.Join(to, args[0]+".json")
			if err := writeRecording(name, recording); err != nil {
				return usage("--to: %w", err)
			}
			if differ := recording.Differ(); len(differ) > 0 {
				return failed(exitFailed, "%s was written; the broker does not keep %s", name, strings.Join(differ, " "))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&config.Brokers, "brokers", "b", []string{"localhost:9092"}, "the broker to record, host:port")
	flags.StringSliceVar(&config.Filter, "filter", nil, "ids or their beginnings; none: every case")
	flags.BoolVar(&config.AllowRemote, "yes-this-cluster", false, "record a broker that is not on this machine")
	flags.StringVar(&to, "to", filepath.Join("conformance", "oracle"), "folder to write to")
	flags.IntVar(&rounds, "rounds", 3, "how often each case is asked; what differs between rounds is not recorded")
	return cmd
}

// writeRecording puts a recording into the one that the file holds.
func writeRecording(name string, recording conformance.Recording) error {
	switch file, err := os.Open(name); {
	case err == nil:
		old, err := conformance.ReadRecording(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		recording = old.With(recording)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(recording.WriteJSON(file), file.Close())
}
