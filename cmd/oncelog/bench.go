package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oncelog/oncelog/cmd/oncelog/bench"
	"github.com/oncelog/oncelog/conformance"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{
		Use:   "bench",
		Short: "Measure any broker, and check that what it gave back is right",
		Long: `Measure any Kafka-compatible broker with one client and one set of settings, and
check the data of the run itself: counts, order, contents, duplicates.

Each run makes a topic of its own and removes it, also after Ctrl-C. With --rate it
is an open loop: a latency counts from the time a record was due, so a broker that
stalls is charged for what it held up. Without, latency is that of a full buffer.

Exit code 0: measured, and the data is right; 1: an error, or wrong data; 2: usage;
3: no broker answered; 130: interrupted, the figures until then are printed.`,
	})
	a.formatFlag(cmd)
	cmd.AddCommand(
		a.benchRun(bench.Produce, "Measure writing, from the time a record is due to its answer",
			"  oncelog bench produce --duration 30s --size 1024 --acks all\n  oncelog bench produce --rate 5000 --partitions 1 -o json > before.json"),
		a.benchRun(bench.Consume, "Measure reading of records that the run writes first",
			"  oncelog bench consume --records 1000000 --consumers 2\n  oncelog bench consume --duration 30s      # again and again\n  oncelog bench consume --topic orders --records 0   # what is there"),
		a.benchRun(bench.EndToEnd, "Measure from the time a record is due to its being read",
			"  oncelog bench e2e --rate 1000 --duration 1m"),
		a.benchRun(bench.Txn, "Measure transactions: commits, their latency, and when readers of committed data see them",
			"  oncelog bench txn --transaction-size 100 --abort-ratio 0.1\n  oncelog bench txn --rate 200 --producers 4    # transactions a second"),
		a.benchCompare(),
	)
	return cmd
}

func (a *app) benchRun(kind bench.Kind, short, example string) *cobra.Command {
	s := bench.Default(kind)
	cmd := &cobra.Command{
		Use: string(kind), Short: short, Example: example, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A number of records is an end of its own, unless both were asked for.
			if cmd.Flags().Changed("records") && !cmd.Flags().Changed("duration") {
				s.Duration = 0
			}
			return a.bench(cmd.Context(), kind, s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Topic, "topic", "", "use this topic and leave it; by default one of its own, removed at the end")
	f.Int32VarP(&s.Partitions, "partitions", "p", s.Partitions, "partitions of a topic that the run makes")
	f.Int16VarP(&s.Replicas, "replicas", "r", s.Replicas, "replication factor of a topic that the run makes, -1 for the broker's default")
	f.IntVar(&s.Size, "size", s.Size, "bytes of a record's value, at least 32")
	f.IntVar(&s.Producers, "producers", s.Producers, "producers, each with a client of its own")
	f.DurationVar((*time.Duration)(&s.Warmup), "warmup", time.Duration(s.Warmup), "load that is not measured, before that which is")
	f.DurationVar((*time.Duration)(&s.Duration), "duration", time.Duration(s.Duration), "measured time; 0 ends with --records")
	f.StringVar(&s.Acks, "acks", s.Acks, "all (idempotent), 1 or 0")
	f.StringVarP(&s.Compression, "compression", "z", s.Compression, "none, gzip, snappy, lz4 or zstd")
	f.Int32Var(&s.BatchBytes, "batch-bytes", s.BatchBytes, "most bytes of a batch")
	f.DurationVar((*time.Duration)(&s.Linger), "linger", time.Duration(s.Linger), "how long a batch waits for more records")
	f.IntVar(&s.MaxBuffered, "max-buffered", s.MaxBuffered, "records that a producer holds before it waits")
	f.BoolVar(&s.AllowRemote, "yes-this-cluster", false, "load a cluster that is not on this machine")
	records, rate := "records to write, the warm-up's too; 0 ends with --duration", "records a second of all producers; 0 is as fast as possible"
	switch kind {
	case bench.Consume:
		records = "records to write first, and to read; 0 reads what --topic holds"
	case bench.Txn:
		records, rate = "transactions to make; 0 ends with --duration", "transactions a second of all producers; 0 is as fast as possible"
		f.IntVar(&s.TransactionSize, "transaction-size", s.TransactionSize, "records of a transaction")
		f.Float64Var(&s.AbortRatio, "abort-ratio", s.AbortRatio, "share of the transactions that are aborted, 0 to 1")
	case bench.Produce:
		f.BoolVar(&s.ReadBack, "read-back", false, "read what was written and check it record by record")
	}
	f.Int64VarP(&s.Records, "records", "n", s.Records, records)
	if kind != bench.Consume {
		f.Float64Var(&s.Rate, "rate", s.Rate, rate)
	}
	f.IntVar(&s.Consumers, "consumers", s.Consumers, "consumers, each with a client and a share of the partitions")
	return cmd
}

// bench runs one benchmark and prints its report, also of a run that failed.
func (a *app) bench(ctx context.Context, kind bench.Kind, s bench.Settings) error {
	options := bench.Options{
		Kind: kind, Settings: s, Brokers: a.client.brokers, Client: "oncelog " + version, Dial: a.dial, Timeout: a.client.timeout,
	}
	if file, ok := a.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("CI") == "" {
		options.Progress = file
	}
	report, err := bench.Run(ctx, options)
	if errors.Is(err, bench.ErrSettings) || errors.Is(err, conformance.ErrRemote) {
		return usage("%w", err)
	}
	if report.Schema == 0 {
		return err // there was no run
	}
	if a.format == "json" {
		err = errors.Join(err, a.printJSON(report))
	} else {
		err = errors.Join(err, report.WriteTable(a.out))
	}
	switch {
	case report.Interrupted:
		return &exitError{exitInterrupted, ctx.Err()}
	case err != nil:
		return err
	case !report.OK():
		return failed(exitFailed, "bench %s: %d errors, data %s", kind, report.Errors, map[bool]string{true: "ok", false: "wrong"}[report.Check.OK])
	}
	return nil
}

func (a *app) benchCompare() *cobra.Command {
	return &cobra.Command{
		Use: "compare A.json B.json", Short: "Show two reports side by side, and B as a multiple of A",
		Example: "  oncelog bench compare before.json after.json",
		Args:    exactly("A.json", "B.json"),
		RunE: func(_ *cobra.Command, args []string) error {
			var reports [2]bench.Report
			for i, name := range args {
				content, err := os.ReadFile(name)
				if err != nil {
					return usage("%w", err)
				}
				if err := json.Unmarshal(content, &reports[i]); err != nil {
					return usage("%s is no report of oncelog bench -o json: %w", name, err)
				}
				if reports[i].Schema != bench.Schema {
					return usage("%s has schema %d, want %d", name, reports[i].Schema, bench.Schema)
				}
			}
			compared := bench.Compare(reports[0], reports[1])
			var rows [][]string
			for _, c := range compared {
				rows = append(rows, c.Row())
			}
			return a.print(compared, []string{"FIGURE", "A", "B", "B/A"}, rows)
		},
	}
}
