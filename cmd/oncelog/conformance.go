package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/conformance/report"
)

func (a *app) conformanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Judge any broker against what Apache Kafka answers",
	}
	a.formatFlag(cmd)
	cmd.AddCommand(a.conformanceList(), a.conformanceRun(), a.conformanceReport(), a.conformanceDiff(), a.conformanceExplain(), a.conformanceRecord(), a.conformanceMatrix())
	return cmd
}

// A caseRow is one case as list shows it.
type caseRow struct {
	ID          string `json:"id"`
	Level       string `json:"level"`
	Title       string `json:"title"`
	Requirement string `json:"requirement"`
}

func (a *app) conformanceList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [ID...]",
		Short: "List the cases, all or those whose ids begin so",
		RunE: func(_ *cobra.Command, filter []string) error {
			cases, err := conformance.Select(conformance.Cases(), filter)
			if err != nil {
				return usage("%w", err)
			}
			found := []caseRow{}
			var rows [][]string
			for _, c := range cases {
				row := caseRow{c.ID, string(c.Level), c.Title, c.Requirement}
				found = append(found, row)
				rows = append(rows, text(row.ID, row.Level, row.Title))
			}
			return a.print(found, []string{"ID", "LEVEL", "RULE"}, rows)
		},
	}
}

// judgeFlags are the flags of run.
type judgeFlags struct {
	conformance.Config
	filter     []string
	shard      string
	expect     string
	strictSkip bool
	dryRun     bool
	files      map[string]*string // where the report goes, by form
}

func (a *app) conformanceRun() *cobra.Command {
	var f judgeFlags
	cmd := &cobra.Command{
		Use:   "run [ID...]",
		Short: "Run the cases against a broker",
		Long: `Run the cases against a broker, all or those whose ids begin so. The suite makes
topics and groups of its own, named oncelog-..., and deletes them.

Exit code 0: all passed or were skipped; 1: a case failed, or passed that was
expected to fail; 2: the command line is wrong; 3: no broker answered; 4: a case
was skipped and --strict-skip was given; 130: interrupted.`,
		Example: `  oncelog conformance run -b localhost:9092 idempotence txn/fencing
  oncelog conformance run --destructive --start 'my-broker --port 9092'
  oncelog conformance run --shard 2/4 --expect known-failures.txt --strict
  oncelog conformance run --json r.json --junit r.xml --html r.html --md r.md`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			f.Filter = append(f.filter, ids...)
			return a.judge(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.Brokers, "brokers", "b", []string{"localhost:9092"}, "the target, host:port")
	flags.BoolVar(&f.AllowRemote, "yes-this-cluster", false, "judge a target that is not on this machine")
	flags.StringSliceVar(&f.filter, "filter", nil, "ids or their beginnings, as the arguments")
	flags.StringVar(&f.shard, "shard", "", "i/n: run the i-th of n equal parts of the cases")
	flags.BoolVar(&f.Destructive, "destructive", false, "also run the cases that a weak broker does not survive, last and one by one")
	flags.StringVar(&f.Start, "start", "", "shell command that starts the target: run when none answers, again when it died; stopped in the end")
	flags.BoolVar(&f.Strict, "strict", false, "a difference in a SHOULD case fails")
	flags.BoolVar(&f.strictSkip, "strict-skip", false, "a case that is skipped ends with exit code 4")
	flags.StringVar(&f.expect, "expect", "", "file of the ids that are known to fail, one a line, # and why; one that passes fails the run")
	flags.IntVar(&f.Parallel, "parallel", 4, "cases at a time")
	flags.IntVar(&f.Repeat, "repeat", 1, "run each case so often; one that differs in some runs only is flaky")
	flags.Uint64Var(&f.Seed, "seed", 0, "shuffle the cases by this number; 0: as listed")
	flags.DurationVar(&f.Timeout, "timeout", time.Minute, "bound on one case")
	f.files = map[string]*string{
		"json":     flags.String("json", "", "also write the report to this file as JSON (docs/conformance-report.schema.json)"),
		"junit":    flags.String("junit", "", "also write it as JUnit XML"),
		"markdown": flags.String("md", "", "also write it as Markdown"),
		"html":     flags.String("html", "", "also write it as one HTML page"),
	}
	flags.StringVar(&f.Traces, "traces", filepath.Join(".oncelog", "runs"), "folder that gets one for each case that differs, with all that was sent and answered; empty: none")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell which cases would run and why others would not")
	return cmd
}

// config completes the Config by the flags that are no part of it.
func (f *judgeFlags) config() (conformance.Config, error) {
	var err error
	if f.shard != "" {
		if f.Shard, err = conformance.ParseShard(f.shard); err != nil {
			return f.Config, err
		}
	}
	if f.expect != "" {
		file, err := os.Open(f.expect)
		if err != nil {
			return f.Config, usage("--expect: %w", err)
		}
		defer file.Close()
		if f.Expect, err = conformance.ParseExpect(file); err != nil {
			return f.Config, fmt.Errorf("%s: %w", f.expect, err)
		}
	}
	return f.Config, nil
}

// judge runs the suite; the text report streams as the cases end.
func (a *app) judge(ctx context.Context, f judgeFlags) error {
	config, err := f.config()
	if err != nil {
		return a.suiteError(err)
	}
	if a.format != "json" {
		config.Progress = a.out
	}
	config.Status = a.terminal()
	a.client.brokers = config.Brokers
	if f.dryRun {
		r, err := conformance.Plan(ctx, config)
		if err != nil {
			return a.suiteError(err)
		}
		if a.format == "json" {
			return r.WriteJSON(a.out)
		}
		return r.WriteText(a.out)
	}
	r, err := conformance.Run(ctx, config)
	if r.Schema != 0 { // a run that was stopped has a report, too
		if a.format == "json" {
			err = errors.Join(err, r.WriteJSON(a.out))
		}
		err = errors.Join(err, f.write(r))
	}
	if err != nil {
		return a.suiteError(err)
	}
	return judged(r, f.strictSkip)
}

// write writes the report to the files that were asked for.
func (f *judgeFlags) write(r conformance.Report) error {
	var errs []error
	for form, name := range f.files {
		if *name != "" {
			errs = append(errs, report.WriteFile(*name, report.Forms[form], r))
		}
	}
	return errors.Join(errs...)
}

// terminal is standard error where it is a terminal that somebody looks at.
func (a *app) terminal() io.Writer {
	if file, ok := a.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("CI") == "" {
		return file
	}
	return nil
}

// judged is the exit code of a report.
func judged(r conformance.Report, strictSkip bool) error {
	switch {
	case !r.OK():
		return failed(exitFailed, "%s", r.Summary())
	case strictSkip && r.Count(conformance.Skip) > 0:
		return failed(exitIncomplete, "%s", r.Summary())
	}
	return nil
}

// suiteError tells a mistake of the caller from a broker that is not there.
func (a *app) suiteError(err error) error {
	switch {
	case errors.Is(err, conformance.ErrRemote):
		return usage("%w; --yes-this-cluster allows it", err)
	case errors.Is(err, conformance.ErrConfig):
		return usage("%w", err)
	}
	return err
}
