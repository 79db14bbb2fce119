package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "cluster", Short: "Show brokers and the partitions in trouble; kill, stop and part those of dev --processes"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.clusterStatus())
	cmd.AddCommand(a.faultCommands()...)
	return cmd
}

// A clusterBroker is one broker as status shows it.
type clusterBroker struct {
	ID         int32  `json:"node_id"`
	Address    string `json:"address"`
	Rack       string `json:"rack,omitempty"`
	Controller bool   `json:"controller"`
	Leaders    int    `json:"leaders"`
	Replicas   int    `json:"replicas"`
}

// A clusterStatus is what Metadata tells of a cluster, internal topics too.
type clusterStatus struct {
	ClusterID       string          `json:"cluster_id"`
	Controller      int32           `json:"controller"`
	Brokers         []clusterBroker `json:"brokers"`
	Partitions      int             `json:"partitions"`
	Leaderless      []string        `json:"without_leader"`
	UnderReplicated []string        `json:"under_replicated"`
}

// statusOf counts what the metadata says, brokers in the order of their ids.
func statusOf(meta kadm.Metadata) (clusterStatus, error) {
	s := clusterStatus{ClusterID: meta.Cluster, Controller: meta.Controller, Brokers: []clusterBroker{}, Leaderless: []string{}, UnderReplicated: []string{}}
	leaders, replicas := map[int32]int{}, map[int32]int{}
	for _, topic := range meta.Topics.Sorted() {
		if topic.Err != nil {
			return s, fmt.Errorf("topic %s: %w", topic.Topic, topic.Err)
		}
		for _, p := range topic.Partitions.Sorted() {
			if p.Err != nil && !errors.Is(p.Err, kerr.LeaderNotAvailable) && !errors.Is(p.Err, kerr.ReplicaNotAvailable) {
				return s, fmt.Errorf("%s-%d: %w", p.Topic, p.Partition, p.Err)
			}
			s.Partitions++
			name := fmt.Sprintf("%s-%d", p.Topic, p.Partition)
			if p.Leader < 0 {
				s.Leaderless = append(s.Leaderless, name)
			} else {
				leaders[p.Leader]++
			}
			if len(p.ISR) < len(p.Replicas) {
				s.UnderReplicated = append(s.UnderReplicated, name)
			}
			for _, r := range p.Replicas {
				replicas[r]++
			}
		}
	}
	for _, b := range meta.Brokers { // kadm sorts them
		one := clusterBroker{ID: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Controller: b.NodeID == meta.Controller, Leaders: leaders[b.NodeID], Replicas: replicas[b.NodeID]}
		if b.Rack != nil {
			one.Rack = *b.Rack
		}
		s.Brokers = append(s.Brokers, one)
	}
	return s, nil
}

func (a *app) clusterStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show brokers, the controller, leaders, and partitions without a leader or with replicas behind", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.admin(cmd.Context(), func(ctx context.Context, admin *kadm.Client) error {
				meta, err := admin.Metadata(ctx)
				if err != nil {
					return err
				}
				status, err := statusOf(meta)
				if err != nil {
					return err
				}
				return a.printStatus(status)
			})
		},
	}
}

func (a *app) printStatus(s clusterStatus) error {
	var rows [][]string
	for _, b := range s.Brokers {
		role := ""
		if b.Controller {
			role = "controller"
		}
		rows = append(rows, text(b.ID, b.Address, b.Leaders, b.Replicas, role))
	}
	if err := a.print(s, []string{"BROKER", "ADDRESS", "LEADS", "REPLICAS", "ROLE"}, rows); err != nil || a.format == "json" {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\ncluster %s, %d partitions\nwithout leader: %s\nunder-replicated: %s\n",
		s.ClusterID, s.Partitions, someOf(s.Leaderless), someOf(s.UnderReplicated))
	return err
}

// someOf lists partitions for people: how many, and the first few.
func someOf(names []string) string {
	const shown = 10
	switch n := len(names); {
	case n == 0:
		return "none"
	case n > shown:
		return fmt.Sprintf("%d (%s and %d more)", n, strings.Join(names[:shown], " "), n-shown)
	default:
		return fmt.Sprintf("%d (%s)", n, strings.Join(names, " "))
	}
}
