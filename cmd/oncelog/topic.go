package main

import (
	"context"
	"encoding/base64"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) topicCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "topic", Short: "List, create, describe, change and delete topics"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.topicList(), a.topicCreate(), a.topicDescribe(), a.topicDelete(), a.topicConfig(), a.topicAddPartitions(), a.topicTrim())
	return cmd
}

// A topicRow is one topic as list shows it.
type topicRow struct {
	Topic      string `json:"topic"`
	ID         string `json:"topic_id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replication_factor"`
	Internal   bool   `json:"internal"`
}

// idText is a topic id as Kafka's tools show it.
func idText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func (a *app) topicList() *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use: "list", Short: "List topics", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				list := admin.ListTopics
				if internal {
					list = admin.ListTopicsWithInternal
				}
				topics, err := list(ctx)
				if err != nil {
					return err
				}
				found := []topicRow{}
				var rows [][]string
				for _, t := range topics.Sorted() {
					row := topicRow{t.Topic, idText(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal}
					found = append(found, row)
					rows = append(rows, text(row.Topic, row.Partitions, row.Replicas, row.ID))
				}
				return a.print(found, []string{"TOPIC", "PARTITIONS", "REPLICAS", "TOPIC ID"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "internal topics too")
	return cmd
}

// configPairs turns k=v arguments into what the admin client takes.
func configPairs(pairs []string) (map[string]*string, error) {
	configs := make(map[string]*string, len(pairs))
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usage("config %q, want name=value", pair)
		}
		configs[name] = &value
	}
	return configs, nil
}

func (a *app) topicCreate() *cobra.Command {
	var partitions int32
	var replicas int16
	var config []string
	cmd := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, topics []string) error {
			configs, err := configPairs(config)
			if err != nil {
				return err
			}
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				answers, err := admin.CreateTopics(ctx, partitions, replicas, configs, topics...)
				if err != nil {
					return err
				}
				created := []topicRow{}
				var rows [][]string
				for _, t := range answers.Sorted() {
					if t.Err != nil {
						return failed(exitFailed, "create %s: %w%s", t.Topic, t.Err, because(t.Err, t.ErrMessage))
					}
					created = append(created, topicRow{Topic: t.Topic, ID: idText(t.ID), Partitions: int(t.NumPartitions), Replicas: int(t.ReplicationFactor)})
					rows = append(rows, text(t.Topic, t.NumPartitions, t.ReplicationFactor, idText(t.ID)))
				}
				return a.print(created, []string{"TOPIC", "PARTITIONS", "REPLICAS", "TOPIC ID"}, rows)
			})
		},
	}
	cmd.Flags().Int32VarP(&partitions, "partitions", "p", -1, "number of partitions, -1 for the broker's default")
	cmd.Flags().Int16VarP(&replicas, "replicas", "r", -1, "replication factor, -1 for the broker's default")
	cmd.Flags().StringArrayVarP(&config, "config", "c", nil, "a topic config, name=value (repeat)")
	return cmd
}

// because is a broker's own words after err, if it sent any that err does not say.
func because(err error, message string) string {
	if message == "" || strings.HasSuffix(err.Error(), message) {
		return ""
	}
	return " (" + message + ")"
}

// A partitionRow is one partition as describe shows it.
type partitionRow struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	InSync    []int32 `json:"isr"`
	Start     int64   `json:"log_start_offset"`
	Stable    int64   `json:"last_stable_offset"`
	End       int64   `json:"high_watermark"`
}

func (a *app) topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe TOPIC...", Short: "Show partitions, leaders and offsets", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				described, err := describePartitions(ctx, admin, names)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, p := range described {
					rows = append(rows, text(p.Topic, p.Partition, p.Leader, p.Epoch, p.Replicas, p.InSync, p.Start, p.Stable, p.End))
				}
				return a.print(described, []string{"TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "STABLE", "HIGH WATERMARK"}, rows)
			})
		},
	}
}

func describePartitions(ctx context.Context, admin *kadm.Client, names []string) ([]partitionRow, error) {
	topics, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics.Sorted() {
		if topic.Err != nil {
			return nil, failed(exitFailed, "describe %s: %w", topic.Topic, topic.Err)
		}
	}
	start, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	stable, err := admin.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	end, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	rows := []partitionRow{}
	for _, topic := range topics.Sorted() {
		for _, p := range topic.Partitions.Sorted() {
			row := partitionRow{Topic: p.Topic, Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, InSync: p.ISR}
			row.Start, row.Stable, row.End = offsetOf(start, p), offsetOf(stable, p), offsetOf(end, p)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// offsetOf is the listed offset of a partition, -1 where the broker gave none.
func offsetOf(listed kadm.ListedOffsets, p kadm.PartitionDetail) int64 {
	o, ok := listed.Lookup(p.Topic, p.Partition)
	if !ok || o.Err != nil {
		return -1
	}
	return o.Offset
}

func (a *app) topicDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete TOPIC...", Short: "Delete topics and their records", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, topics []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				answers, err := admin.DeleteTopics(ctx, topics...)
				if err != nil {
					return err
				}
				for _, t := range answers.Sorted() {
					if t.Err != nil {
						return failed(exitFailed, "delete %s: %w%s", t.Topic, t.Err, because(t.Err, t.ErrMessage))
					}
				}
				return a.print(topics, []string{"DELETED"}, column(topics))
			})
		},
	}
}

// column makes a table of one column.
func column(values []string) [][]string {
	rows := make([][]string, len(values))
	for i, v := range values {
		rows[i] = []string{v}
	}
	return rows
}

// A configRow is one setting and where its value comes from.
type configRow struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func (a *app) topicConfig() *cobra.Command {
	var set, unset []string
	cmd := &cobra.Command{
		Use: "config TOPIC", Short: "Show or change a topic's configuration", Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				if err := alterTopic(ctx, admin, args[0], set, unset); err != nil {
					return err
				}
				return a.showTopicConfig(ctx, admin, args[0])
			})
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "set name=value (repeat)")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "go back to the default of this name (repeat)")
	return cmd
}

func alterTopic(ctx context.Context, admin *kadm.Client, topic string, set, unset []string) error {
	pairs, err := configPairs(set)
	if err != nil {
		return err
	}
	var changes []kadm.AlterConfig
	for name, value := range pairs {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	for _, name := range unset {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	if len(changes) == 0 {
		return nil
	}
	answers, err := admin.AlterTopicConfigs(ctx, changes, topic)
	if err != nil {
		return err
	}
	for _, answer := range answers {
		if answer.Err != nil {
			return failed(exitFailed, "change %s: %w%s", answer.Name, answer.Err, because(answer.Err, answer.ErrMessage))
		}
	}
	return nil
}

func (a *app) showTopicConfig(ctx context.Context, admin *kadm.Client, topic string) error {
	resources, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return err
	}
	configs := []configRow{}
	var rows [][]string
	for _, r := range resources {
		if r.Err != nil {
			return failed(exitFailed, "describe %s: %w%s", topic, r.Err, because(r.Err, r.ErrMessage))
		}
		sort.Slice(r.Configs, func(i, j int) bool { return r.Configs[i].Key < r.Configs[j].Key })
		for _, c := range r.Configs {
			configs = append(configs, configRow{c.Key, c.MaybeValue(), c.Source.String()})
			rows = append(rows, text(c.Key, c.MaybeValue(), c.Source))
		}
	}
	return a.print(configs, []string{"NAME", "VALUE", "SOURCE"}, rows)
}

func (a *app) topicAddPartitions() *cobra.Command {
	var to int
	cmd := &cobra.Command{
		Use: "add-partitions TOPIC", Short: "Raise the number of partitions", Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				answers, err := admin.UpdatePartitions(ctx, to, args[0])
				if err != nil {
					return err
				}
				for _, t := range answers {
					if t.Err != nil {
						return failed(exitFailed, "add partitions to %s: %w%s", t.Topic, t.Err, because(t.Err, t.ErrMessage))
					}
				}
				return a.print(map[string]any{"topic": args[0], "partitions": to}, []string{"TOPIC", "PARTITIONS"}, [][]string{text(args[0], to)})
			})
		},
	}
	cmd.Flags().IntVar(&to, "to", 0, "the new number of partitions")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) topicTrim() *cobra.Command {
	var partition int32
	var before int64
	cmd := &cobra.Command{
		Use: "trim TOPIC", Short: "Delete the records before an offset", Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				var to kadm.Offsets
				to.Add(kadm.Offset{Topic: args[0], Partition: partition, At: before})
				answers, err := admin.DeleteRecords(ctx, to)
				if err != nil {
					return err
				}
				answer, _ := answers.Lookup(args[0], partition)
				if answer.Err != nil {
					return failed(exitFailed, "trim %s-%d: %w", args[0], partition, answer.Err)
				}
				return a.print(map[string]any{"topic": args[0], "partition": partition, "log_start_offset": answer.LowWatermark},
					[]string{"TOPIC", "PARTITION", "START"}, [][]string{text(args[0], partition, answer.LowWatermark)})
			})
		},
	}
	cmd.Flags().Int32VarP(&partition, "partition", "p", 0, "the partition")
	cmd.Flags().Int64Var(&before, "before", -1, "the new log start offset; -1 for the high watermark")
	return cmd
}
