package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) txnCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "txn", Short: "Show transactions and the producers of a partition"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.txnList(), a.txnDescribe(), a.txnProducers())
	return cmd
}

// A txnRow is one transactional id as list shows it.
type txnRow struct {
	ID          string `json:"transactional_id"`
	State       string `json:"state"`
	ProducerID  int64  `json:"producer_id"`
	Coordinator int32  `json:"coordinator"`
}

func (a *app) txnList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List transactional ids", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				listed, err := admin.ListTransactions(ctx, nil, nil)
				if err != nil {
					return err
				}
				found := []txnRow{}
				var rows [][]string
				for _, t := range listed.Sorted() {
					row := txnRow{t.TxnID, t.State, t.ProducerID, t.Coordinator}
					found = append(found, row)
					rows = append(rows, text(row.ID, row.State, row.ProducerID, row.Coordinator))
				}
				return a.print(found, []string{"TRANSACTIONAL ID", "STATE", "PRODUCER ID", "COORDINATOR"}, rows)
			})
		},
	}
}

// A txnDetail is one transactional id in full.
type txnDetail struct {
	ID         string   `json:"transactional_id"`
	State      string   `json:"state"`
	ProducerID int64    `json:"producer_id"`
	Epoch      int16    `json:"producer_epoch"`
	Started    string   `json:"started,omitempty"`
	Timeout    string   `json:"timeout"`
	Partitions []string `json:"partitions"`
}

func (a *app) txnDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe ID...", Short: "Show state, producer, start, timeout and partitions", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				described, err := admin.DescribeTransactions(ctx, ids...)
				if err != nil {
					return err
				}
				found := []txnDetail{}
				var rows [][]string
				for _, t := range described.Sorted() {
					if t.Err != nil {
						return failed(exitFailed, "describe %s: %w", t.TxnID, t.Err)
					}
					detail := detailOf(t)
					found = append(found, detail)
					rows = append(rows, text(detail.ID, detail.State, detail.ProducerID, detail.Epoch, detail.Started, detail.Timeout, strings.Join(detail.Partitions, " ")))
				}
				return a.print(found, []string{"TRANSACTIONAL ID", "STATE", "PRODUCER ID", "EPOCH", "STARTED", "TIMEOUT", "PARTITIONS"}, rows)
			})
		},
	}
}

func detailOf(t kadm.DescribedTransaction) txnDetail {
	detail := txnDetail{
		ID: t.TxnID, State: t.State, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch,
		Timeout: (time.Duration(t.TimeoutMillis) * time.Millisecond).String(), Partitions: []string{},
	}
	if t.StartTimestamp > 0 {
		detail.Started = time.UnixMilli(t.StartTimestamp).UTC().Format(time.RFC3339Nano)
	}
	for _, topic := range t.Topics.Sorted() {
		for _, p := range topic.Partitions {
			detail.Partitions = append(detail.Partitions, fmt.Sprintf("%s-%d", topic.Topic, p))
		}
	}
	return detail
}

// A producerRow is one producer that a partition remembers.
type producerRow struct {
	ProducerID   int64  `json:"producer_id"`
	Epoch        int32  `json:"producer_epoch"`
	LastSequence int32  `json:"last_sequence"`
	LastWrite    string `json:"last_write"`
	Coordinator  int32  `json:"coordinator_epoch"`
	OpenSince    int64  `json:"open_transaction_first_offset"`
}

// topicPartition parses TOPIC:PARTITION.
func topicPartition(arg string) (string, int32, error) {
	i := strings.LastIndexByte(arg, ':')
	if i <= 0 {
		return "", 0, usage("%q, want TOPIC:PARTITION", arg)
	}
	n, err := strconv.ParseInt(arg[i+1:], 10, 32)
	if err != nil || n < 0 {
		return "", 0, usage("%q, want TOPIC:PARTITION with a partition number", arg)
	}
	return arg[:i], int32(n), nil
}

func (a *app) txnProducers() *cobra.Command {
	return &cobra.Command{
		Use: "producers TOPIC:PARTITION", Short: "Show the producers that a partition remembers", Args: exactly("TOPIC:PARTITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, partition, err := topicPartition(args[0])
			if err != nil {
				return err
			}
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				var set kadm.TopicsSet
				set.Add(topic, partition)
				described, err := admin.DescribeProducers(ctx, set)
				if err != nil {
					return err
				}
				p, ok := described[topic].Partitions[partition]
				if !ok {
					return failed(exitFailed, "%s-%d: the broker did not describe it", topic, partition)
				}
				if p.Err != nil {
					return failed(exitFailed, "%s-%d: %w%s", topic, partition, p.Err, because(p.Err, p.ErrMessage))
				}
				found := []producerRow{}
				var rows [][]string
				for _, producer := range p.ActiveProducers.Sorted() {
					row := producerRow{
						producer.ProducerID, int32(producer.ProducerEpoch), producer.LastSequence,
						time.UnixMilli(producer.LastTimestamp).UTC().Format(time.RFC3339Nano), producer.CoordinatorEpoch, producer.CurrentTxnStartOffset,
					}
					found = append(found, row)
					rows = append(rows, text(row.ProducerID, row.Epoch, row.LastSequence, row.LastWrite, row.Coordinator, row.OpenSince))
				}
				return a.print(found, []string{"PRODUCER ID", "EPOCH", "LAST SEQUENCE", "LAST WRITE", "COORDINATOR EPOCH", "OPEN SINCE"}, rows)
			})
		},
	}
}
