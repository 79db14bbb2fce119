package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/conformance/nemesis"
)

func (a *app) verifyAcks() *cobra.Command {
	return &cobra.Command{
		Use:   "acks",
		Short: "Show what acks=1 loses, and acks=all does not, when the leader is replaced",
		Long: `Start three brokers, each in a process of its own, and let a producer with acks=1 and
one with acks=all write to the same leader. It is parted from its followers until they
have elected another; then a leader is killed while its followers are behind. All that
was acknowledged is read back, and what is gone is counted.

Exit 0: acks=1 lost records, and acks=all none. 1: acks=all lost some. 4: acks=1 lost
none, so nothing was shown.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.compareAcks(cmd.Context()) },
	}
}

func (a *app) compareAcks(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "oncelog-acks-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var results []nemesis.AcksResult
	err = a.withBrokers(ctx, dir, map[string]string{}, func(c *children) (err error) {
		results, err = nemesis.CompareAcks(ctx, c, "acks", a.progress())
		return err
	})
	if err != nil {
		return failed(exitFailed, "%w", err)
	}
	var rows [][]string
	for _, r := range results {
		rows = append(rows, text(r.Fault, r.Acks, r.Acked, r.Lost))
	}
	if err := a.print(results, []string{"FAULT", "ACKS", "ACKNOWLEDGED", "LOST"}, rows); err != nil {
		return err
	}
	for _, r := range results {
		switch {
		case r.Acks == "all" && r.Lost > 0:
			return failed(exitFailed, "%s: %d records are lost that were acknowledged with acks=all: %v", r.Fault, r.Lost, r.Gone)
		case r.Acks == "1" && r.Lost == 0:
			return failed(exitIncomplete, "%s: acks=1 lost nothing this time, so nothing was shown", r.Fault)
		}
	}
	return nil
}
