package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) groupCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "group", Short: "List, describe, move and delete consumer groups"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.groupList(), a.groupDescribe(), a.groupSeek(), a.groupDelete())
	return cmd
}

// A groupRow is one group as list shows it.
type groupRow struct {
	Group       string `json:"group"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
}

func (a *app) groupList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List groups", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				groups, err := admin.ListGroups(ctx)
				if err != nil {
					return err
				}
				found := []groupRow{}
				var rows [][]string
				for _, g := range groups.Sorted() {
					row := groupRow{g.Group, g.State, g.ProtocolType, g.Coordinator}
					found = append(found, row)
					rows = append(rows, text(row.Group, row.State, row.Protocol, row.Coordinator))
				}
				return a.print(found, []string{"GROUP", "STATE", "TYPE", "COORDINATOR"}, rows)
			})
		},
	}
}

// A lagRow is one partition of one group.
type lagRow struct {
	Group     string `json:"group"`
	State     string `json:"state"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed_offset"`
	End       int64  `json:"end_offset"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member"`
	Client    string `json:"client_id"`
	Host      string `json:"host"`
}

func (a *app) groupDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe GROUP...", Aliases: []string{"lag"}, Short: "Show members, committed offsets and lag", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, groups []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				lags, err := admin.Lag(ctx, groups...)
				if err != nil {
					return err
				}
				found := []lagRow{}
				var rows [][]string
				for _, g := range lags.Sorted() {
					if err := g.Error(); err != nil {
						return failed(exitFailed, "describe %s: %w", g.Group, err)
					}
					for _, p := range g.Lag.Sorted() {
						row := lagRow{Group: g.Group, State: g.State, Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, End: p.End.Offset, Lag: p.Lag}
						if p.Member != nil {
							row.Member, row.Client, row.Host = p.Member.MemberID, p.Member.ClientID, p.Member.ClientHost
						}
						found = append(found, row)
						rows = append(rows, text(row.Group, row.State, row.Topic, row.Partition, row.Committed, row.End, row.Lag, row.Client, row.Host))
					}
				}
				return a.print(found, []string{"GROUP", "STATE", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT", "HOST"}, rows)
			})
		},
	}
}

// A seekRow is what seek committed for one partition.
type seekRow struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed_offset"`
}

func (a *app) groupSeek() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "seek GROUP TOPIC", Short: "Move an empty group to other offsets", Args: exactly("GROUP", "TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				target, err := seekTarget(ctx, admin, to, args[1])
				if err != nil {
					return err
				}
				answers, err := admin.CommitOffsets(ctx, args[0], target)
				if err != nil {
					return err
				}
				if err := answers.Error(); err != nil {
					return failed(exitFailed, "seek %s: %w", args[0], err)
				}
				found := []seekRow{}
				var rows [][]string
				for _, o := range target.Sorted() {
					found = append(found, seekRow{args[0], o.Topic, o.Partition, o.At})
					rows = append(rows, text(args[0], o.Topic, o.Partition, o.At))
				}
				return a.print(found, []string{"GROUP", "TOPIC", "PARTITION", "COMMITTED"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "start", "start, end, @MILLIS or an offset, which is kept between start and end")
	return cmd
}

// seekTarget resolves --to into an offset for each partition of the topic.
func seekTarget(ctx context.Context, admin *kadm.Client, to, topic string) (kadm.Offsets, error) {
	var listed kadm.ListedOffsets
	var err error
	fixed, number := strconv.ParseInt(to, 10, 64)
	switch {
	case number == nil:
		return boundedOffsets(ctx, admin, fixed, topic)
	case to == "start":
		listed, err = admin.ListStartOffsets(ctx, topic)
	case to == "end":
		listed, err = admin.ListEndOffsets(ctx, topic)
	case strings.HasPrefix(to, "@"):
		ms, bad := strconv.ParseInt(to[1:], 10, 64)
		if bad != nil {
			return nil, usage("--to %q, want @ and milliseconds since 1970", to)
		}
		listed, err = admin.ListOffsetsAfterMilli(ctx, ms, topic)
	default:
		return nil, usage("--to %q, want start, end, @MILLIS or an offset", to)
	}
	if err != nil {
		return nil, err
	}
	if err := listed.Error(); err != nil {
		return nil, err
	}
	return listed.Offsets(), nil
}

// boundedOffsets is the same offset for each partition, kept between its start
// and its end as Kafka's own tool keeps it, and without a leader epoch: whose
// batch lies there is not known.
func boundedOffsets(ctx context.Context, admin *kadm.Client, offset int64, topic string) (kadm.Offsets, error) {
	start, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = errors.Join(start.Error(), end.Error())
	}
	if err != nil {
		return nil, err
	}
	target := make(kadm.Offsets)
	end.Each(func(e kadm.ListedOffset) {
		s, _ := start.Lookup(topic, e.Partition)
		target.AddOffset(topic, e.Partition, min(max(offset, s.Offset), e.Offset), -1)
	})
	return target, nil
}

func (a *app) groupDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP...", Short: "Delete empty groups and their offsets", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, groups []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				answers, err := admin.DeleteGroups(ctx, groups...)
				if err != nil {
					return err
				}
				for _, g := range answers.Sorted() {
					if g.Err != nil {
						return failed(exitFailed, "delete %s: %w", g.Group, g.Err)
					}
				}
				return a.print(groups, []string{"DELETED"}, column(groups))
			})
		},
	}
}
