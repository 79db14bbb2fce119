package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/conformance"
)

func (a *app) conformanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Judge any broker against what Apache Kafka answers",
	}
	a.formatFlag(cmd)
	cmd.AddCommand(a.conformanceList(), a.conformanceRun())
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

func (a *app) conformanceRun() *cobra.Command {
	var options conformance.Options
	cmd := &cobra.Command{
		Use:   "run [ID...]",
		Short: "Run the cases against a broker",
		Long: `Run the cases against a broker, all or those whose ids begin so. The suite makes
topics and groups of its own, named oncelog-..., and deletes them.

Exit code 0: all passed or were skipped; 1: a case failed; 3: no broker answered.`,
		Example: "  oncelog conformance run -b localhost:9092 idempotence txn/fencing",
		RunE: func(cmd *cobra.Command, filter []string) error {
			options.Filter = filter
			return a.judge(cmd.Context(), options)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&options.Brokers, "brokers", "b", []string{"localhost:9092"}, "the target, host:port")
	flags.BoolVar(&options.AllowRemote, "yes-this-cluster", false, "judge a target that is not on this machine")
	flags.BoolVar(&options.Strict, "strict", false, "a difference in a SHOULD case fails")
	flags.StringSliceVar(&options.Expect, "expect", nil, "ids known to fail on this target; one that passes fails the run")
	flags.IntVar(&options.Parallel, "parallel", 4, "cases at a time")
	flags.DurationVar(&options.Timeout, "timeout", time.Minute, "bound on one case")
	return cmd
}

// judge runs the suite; the text report streams as the cases end.
func (a *app) judge(ctx context.Context, options conformance.Options) error {
	if a.format != "json" {
		options.Progress = a.out
	}
	if _, err := conformance.Select(conformance.Cases(), options.Filter); err != nil {
		return usage("%w", err)
	}
	a.client.brokers = options.Brokers
	report, err := conformance.Run(ctx, options)
	if err != nil {
		return err
	}
	if a.format == "json" {
		if err := report.WriteJSON(a.out); err != nil {
			return err
		}
	}
	if !report.OK() {
		return failed(exitFailed, "%s", report.Summary())
	}
	return nil
}
