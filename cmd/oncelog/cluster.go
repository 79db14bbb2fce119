package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "cluster", Short: "Show brokers and the partitions in trouble; add and remove brokers; kill, stop and part those of dev --processes"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.clusterStatus())
	cmd.AddCommand(a.memberCommands()...)
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
	// Fenced says that the broker is registered and does not answer.
	Fenced bool `json:"fenced"`
	// Quorum is its part in the metadata: leader, voter, observer; Lag is how many
	// records of it the broker lacks, -1 if the leader has not heard of it.
	Quorum string `json:"quorum,omitempty"`
	Lag    int64  `json:"lag"`
}

// A clusterStatus is what Metadata tells of a cluster, internal topics too.
type clusterStatus struct {
	ClusterID  string          `json:"cluster_id"`
	Controller int32           `json:"controller"`
	Brokers    []clusterBroker `json:"brokers"`
	Partitions int             `json:"partitions"`
	// Quorum is why nothing is known of the metadata's followers; empty: it is.
	Quorum          string   `json:"quorum_error,omitempty"`
	Leaderless      []string `json:"without_leader"`
	UnderReplicated []string `json:"under_replicated"`

	replicas map[int32]int // by broker
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
	s.replicas = replicas
	for _, b := range meta.Brokers { // kadm sorts them
		one := clusterBroker{ID: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Controller: b.NodeID == meta.Controller, Leaders: leaders[b.NodeID], Replicas: replicas[b.NodeID]}
		if b.Rack != nil {
			one.Rack = *b.Rack
		}
		s.Brokers = append(s.Brokers, one)
	}
	return s, nil
}

// addFenced lists the brokers that are registered and silent.
func (s *clusterStatus) addFenced(brokers []kmsg.DescribeClusterResponseBroker) {
	for _, b := range brokers {
		if at := slices.IndexFunc(s.Brokers, func(have clusterBroker) bool { return have.ID == b.NodeID }); at >= 0 {
			s.Brokers[at].Fenced = b.IsFenced
			continue
		}
		one := clusterBroker{ID: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Replicas: s.replicas[b.NodeID], Fenced: b.IsFenced}
		if b.Rack != nil {
			one.Rack = *b.Rack
		}
		s.Brokers = append(s.Brokers, one)
	}
	slices.SortFunc(s.Brokers, func(a, b clusterBroker) int { return cmp.Compare(a.ID, b.ID) })
}

// addQuorum says how far each broker is behind the metadata.
func (s *clusterStatus) addQuorum(state kmsg.DescribeQuorumResponseTopicPartition) {
	end := int64(0)
	for _, m := range state.CurrentVoters {
		end = max(end, m.LogEndOffset)
	}
	for role, members := range map[string][]kmsg.DescribeQuorumResponseTopicPartitionReplicaState{"voter": state.CurrentVoters, "observer": state.Observers} {
		for _, m := range members {
			at := slices.IndexFunc(s.Brokers, func(b clusterBroker) bool { return b.ID == m.ReplicaID })
			if at < 0 {
				continue // a controller that is no broker, as Kafka has them
			}
			b := &s.Brokers[at]
			b.Quorum, b.Lag = role, end-m.LogEndOffset
			if m.LogEndOffset < 0 {
				b.Lag = -1
			}
			if m.ReplicaID == state.LeaderID {
				b.Quorum = "leader"
			}
		}
	}
}

// statusPatience is how long status waits for a broker before it asks another:
// one that was stopped still takes connections.
const statusPatience = time.Second

func (a *app) clusterStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show brokers, who leads the metadata and who is behind, and partitions without a leader or with replicas behind", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				status, err := askStatus(ctx, client)
				if err != nil {
					return err
				}
				return a.printStatus(status)
			}, kgo.RequestTimeoutOverhead(statusPatience))
		},
	}
}

// askStatus asks for all that status shows. A broker of an older version is not
// asked for what it does not tell.
func askStatus(ctx context.Context, client *kgo.Client) (clusterStatus, error) {
	meta, err := kadm.NewClient(client).Metadata(ctx)
	if err != nil {
		return clusterStatus{}, err
	}
	status, err := statusOf(meta)
	if err != nil {
		return status, err
	}
	q, err := describeQuorum(ctx, client)
	if err != nil {
		status.Quorum = err.Error()
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers, req.EndpointType = true, 1
	if resp, err := req.RequestWith(ctx, client); err == nil && resp.ErrorCode == 0 {
		status.addFenced(resp.Brokers)
	} else if ctx.Err() != nil {
		return status, ctx.Err()
	}
	status.addQuorum(q.state)
	return status, nil
}

func (a *app) printStatus(s clusterStatus) error {
	var rows [][]string
	for _, b := range s.Brokers {
		role, state, lag := b.Quorum, "", fmt.Sprint(b.Lag)
		if b.Controller {
			role = "controller"
		}
		if b.Fenced {
			state = "fenced"
		}
		if b.Quorum == "" || b.Lag < 0 {
			lag = "?"
		}
		rows = append(rows, text(b.ID, b.Address, b.Leaders, b.Replicas, role, lag, state))
	}
	if err := a.print(s, []string{"BROKER", "ADDRESS", "LEADS", "REPLICAS", "ROLE", "LAG", "STATE"}, rows); err != nil || a.format == "json" {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\ncluster %s, %d partitions\nwithout leader: %s\nunder-replicated: %s\n",
		s.ClusterID, s.Partitions, someOf(s.Leaderless), someOf(s.UnderReplicated))
	if err == nil && s.Quorum != "" {
		_, err = fmt.Fprintf(a.out, "the quorum is not known: %s\n", s.Quorum)
	}
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
