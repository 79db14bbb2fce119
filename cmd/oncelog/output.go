package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// formatFlag adds -o to a command whose output is a list or a description.
func (a *app) formatFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&a.format, "output", "o", "table", "output: table or json")
	inner := cmd.PersistentPreRunE
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if a.format != "table" && a.format != "json" {
			return usage("--output is %q, want table or json", a.format)
		}
		if inner != nil {
			return inner(cmd, args)
		}
		return nil
	}
}

// print writes value as JSON, or header and rows as an aligned table.
func (a *app) print(value any, header []string, rows [][]string) error {
	if a.format == "json" {
		return a.printJSON(value)
	}
	table := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printJSON writes value as one line, so that outputs can be streamed.
func (a *app) printJSON(value any) error {
	return json.NewEncoder(a.out).Encode(value)
}

// text formats values for a table.
func text(values ...any) []string {
	row := make([]string, len(values))
	for i, v := range values {
		row[i] = fmt.Sprint(v)
	}
	return row
}
