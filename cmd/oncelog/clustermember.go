package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// memberCommands bring brokers into a running cluster and take them off it.
func (a *app) memberCommands() []*cobra.Command {
	return []*cobra.Command{a.clusterAdd(), a.clusterRemove()}
}

// A joining says how to start one more broker.
type joining struct {
	host, dir string
	id        int32
	port      int
}

func (a *app) clusterAdd() *cobra.Command {
	j := joining{}
	cmd := &cobra.Command{
		Use: "add", Short: "Print the configuration with which a new broker joins the cluster", Args: exactly(),
		Long: `Print the configuration of one more broker. Start it on its machine:

  oncelog cluster add --host host4 --log-dirs /var/lib/oncelog > server.properties
  oncelog serve -c server.properties

It takes replicas of new topics; those of others it is given by kafka-reassign-partitions.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				properties, err := j.properties(ctx, client)
				if err != nil {
					return err
				}
				if a.format == "json" {
					return a.printJSON(properties)
				}
				for _, name := range slices.Sorted(maps.Keys(properties)) {
					if _, err := fmt.Fprintf(a.out, "%s=%s\n", name, properties[name]); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&j.host, "host", "localhost", "where clients and the other brokers reach the new one")
	flags.StringVar(&j.dir, "log-dirs", "data", "folder for its data")
	flags.Int32Var(&j.id, "node-id", -1, "its node id; the first that is free if negative")
	flags.IntVar(&j.port, "port", 0, "its port for clients, the other brokers' is the next; those behind the others on the host if 0")
	return cmd
}

// withClient runs do with a client, in the time that --timeout gives.
func (a *app) withClient(ctx context.Context, do func(context.Context, *kgo.Client) error, extra ...kgo.Opt) error {
	client, err := a.dial(ctx, extra...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, a.client.timeout)
	defer cancel()
	return do(ctx, client)
}

// properties are what the new broker is started with.
func (j joining) properties(ctx context.Context, client *kgo.Client) (map[string]string, error) {
	meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return nil, err
	}
	quorum, err := describeQuorum(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("ask for the quorum: %w", err)
	}
	var servers []string
	id, port := j.id, j.port
	for _, b := range meta.Brokers {
		if j.id == b.NodeID {
			return nil, usage("broker %d is there already: choose another --node-id", b.NodeID)
		}
		if j.id < 0 {
			id = max(id, b.NodeID+1)
		}
		if j.port == 0 {
			port = max(port, int(b.Port)+1)
		}
	}
	for _, node := range quorum.nodes { // those too that do not answer now
		if j.id == node.NodeID {
			return nil, usage("broker %d is there already: choose another --node-id", node.NodeID)
		}
		if j.id < 0 {
			id = max(id, node.NodeID+1)
		}
		for _, l := range node.Listeners {
			servers = append(servers, net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
			if j.port == 0 {
				port = max(port, int(l.Port)+1)
			}
		}
	}
	if len(servers) == 0 {
		return nil, failed(exitFailed, "the broker listens for no others: it takes some once it is started with cluster.id=%s and, in listeners, one that controller.listener.names names, such as CONTROLLER://host:9093", meta.Cluster)
	}
	return map[string]string{
		"node.id": strconv.Itoa(int(id)), "cluster.id": meta.Cluster, "log.dirs": j.dir, "controller.listener.names": "CONTROLLER",
		"listeners":                           fmt.Sprintf("PLAINTEXT://:%d,CONTROLLER://:%d", port, port+1),
		"advertised.listeners":                fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", net.JoinHostPort(j.host, strconv.Itoa(port)), net.JoinHostPort(j.host, strconv.Itoa(port+1))),
		"controller.quorum.bootstrap.servers": strings.Join(servers, ","),
	}, nil
}

// A quorum is what the metadata's leader says of those that follow it.
type quorum struct {
	state kmsg.DescribeQuorumResponseTopicPartition
	nodes []kmsg.DescribeQuorumResponseNode
}

func describeQuorum(ctx context.Context, client *kgo.Client) (q quorum, err error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return q, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return q, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return q, fmt.Errorf("the answer has %d topics, want one partition of one", len(resp.Topics))
	}
	q.state, q.nodes = resp.Topics[0].Partitions[0], resp.Nodes
	return q, kerr.ErrorForCode(q.state.ErrorCode)
}

func (a *app) clusterRemove() *cobra.Command {
	var drain bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "remove BROKER", Short: "Take a broker off the cluster, after moving its replicas elsewhere with --drain", Args: exactly("BROKER"),
		Example: "  oncelog cluster remove 3 --drain",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || id < 0 {
				return usage("%q is no node id: oncelog cluster status lists them", args[0])
			}
			client, err := a.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			r := removal{app: a, client: client, admin: kadm.NewClient(client), id: int32(id)}
			return r.run(ctx, drain)
		},
	}
	cmd.Flags().BoolVar(&drain, "drain", false, "move its replicas to the other brokers first, and wait for it")
	cmd.Flags().DurationVar(&patience, "drain-timeout", time.Hour, "give up when the replicas are not moved by then; what was begun goes on")
	return cmd
}

// A removal takes one broker off.
type removal struct {
	app    *app
	client *kgo.Client
	admin  *kadm.Client
	id     int32
}

func (r removal) run(ctx context.Context, drain bool) error {
	held, err := r.take(ctx, drain)
	if err != nil {
		return err
	}
	row := struct {
		ID    int32 `json:"node_id"`
		Moved int   `json:"moved"`
	}{r.id, held}
	return r.app.print(row, []string{"BROKER", "MOVED", ""}, [][]string{text(r.id, held, "taken off; its process can be ended")})
}

// take takes the broker off, and returns how many replicas it held.
func (r removal) take(ctx context.Context, drain bool) (held int, err error) {
	moves, held, err := r.plan(ctx, drain)
	switch {
	case held > 0 && !drain:
		return held, failed(exitFailed, "broker %d holds %d replica(s): oncelog cluster remove %d --drain moves them to the other brokers first", r.id, held, r.id)
	case err != nil:
		return held, err
	case held > 0:
		if err := r.move(ctx, moves, held); err != nil {
			return held, err
		}
	}
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = r.id
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return held, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		if resp.ErrorMessage != nil {
			err = fmt.Errorf("%s: %w", *resp.ErrorMessage, err)
		}
		return held, fmt.Errorf("take broker %d off: %w", r.id, err)
	}
	return held, nil
}

// roomPatience is how long a drain without room waits for brokers that are
// registered and not heard: one that has just joined is heard by each of the others
// in its own time.
const roomPatience = 30 * time.Second

// plan decides where the replicas go (see drainOf).
func (r removal) plan(ctx context.Context, drain bool) (moves kadm.AlterPartitionAssignmentsReq, held int, err error) {
	for began, said := time.Now(), false; ; {
		meta, err := r.admin.Metadata(ctx)
		if err != nil {
			return nil, 0, err
		}
		under, err := r.admin.ListPartitionReassignments(ctx, meta.Topics.TopicsSet())
		if err != nil {
			return nil, 0, err
		}
		moves, held, noRoom := drainOf(meta, under, r.id)
		if noRoom == nil || !drain || time.Since(began) > roomPatience || !r.roomMayCome(ctx, meta) {
			return moves, held, noRoom
		}
		if !said {
			fmt.Fprintf(r.app.err, "%v\nmore brokers may be registered than are heard: asking again for %v\n", noRoom, roomPatience)
			said = true
		}
		select {
		case <-time.After(moveLook):
		case <-ctx.Done():
			return nil, held, errors.Join(noRoom, ctx.Err())
		}
	}
}

// roomMayCome says whether more brokers are registered than the metadata tells of.
// The controller knows; while none is found that says it is one, they may be.
func (r removal) roomMayCome(ctx context.Context, meta kadm.Metadata) bool {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers, req.EndpointType = true, 1
	answer, err := r.client.Broker(int(meta.Controller)).RetriableRequest(ctx, req)
	if err != nil {
		return true
	}
	resp := answer.(*kmsg.DescribeClusterResponse)
	if resp.ErrorCode != 0 || resp.ControllerID != meta.Controller {
		return true
	}
	return slices.ContainsFunc(resp.Brokers, func(known kmsg.DescribeClusterResponseBroker) bool {
		return known.NodeID != r.id && !slices.ContainsFunc(meta.Brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == known.NodeID })
	})
}

// drainOf decides where the replicas of a broker go: each to the broker with the
// fewest that holds none of that partition, in the place that it had. Of partitions
// that are moving already it counts where they go; those that leave the broker
// anyway, as when a drain is asked for again, are let be.
func drainOf(meta kadm.Metadata, under kadm.ListPartitionReassignmentsResponses, id int32) (moves kadm.AlterPartitionAssignmentsReq, held int, err error) {
	load := map[int32]int{}
	for _, b := range meta.Brokers {
		if b.NodeID != id {
			load[b.NodeID] = 0
		}
	}
	for _, topic := range meta.Topics.Sorted() {
		for _, p := range topic.Partitions.Sorted() {
			for _, replica := range p.Replicas {
				if _, there := load[replica]; there {
					load[replica]++
				}
			}
		}
	}
	for _, topic := range meta.Topics.Sorted() {
		for _, p := range topic.Partitions.Sorted() {
			at := slices.Index(p.Replicas, id)
			if at < 0 {
				continue
			}
			held++
			next := slices.Clone(p.Replicas)
			if now, moving := under[p.Topic][p.Partition]; moving {
				next = slices.DeleteFunc(next, func(replica int32) bool { return slices.Contains(now.RemovingReplicas, replica) })
				if at = slices.Index(next, id); at < 0 {
					continue
				}
			}
			if next[at] = leastLoaded(load, next); next[at] < 0 {
				err = failed(exitFailed, "%s-%d has %d replicas, and the %d other broker(s) hold one each: add a broker first, or give the topic fewer replicas with kafka-reassign-partitions", p.Topic, p.Partition, len(p.Replicas), len(load))
				continue
			}
			load[next[at]]++
			moves.Assign(p.Topic, p.Partition, next)
		}
	}
	return moves, held, err
}

// leastLoaded is the broker with the fewest replicas that is not among those; -1: none.
func leastLoaded(load map[int32]int, among []int32) int32 {
	best := int32(-1)
	for _, id := range slices.Sorted(maps.Keys(load)) {
		if !slices.Contains(among, id) && (best < 0 || load[id] < load[best]) {
			best = id
		}
	}
	return best
}

// moveLook is how often the progress of moves is asked for.
const moveLook = 500 * time.Millisecond

// move starts the moves and waits until they are done.
func (r removal) move(ctx context.Context, moves kadm.AlterPartitionAssignmentsReq, held int) error {
	if len(moves) > 0 {
		answers, err := r.admin.AlterPartitionAssignments(ctx, moves)
		if err := errors.Join(err, answers.Error()); err != nil {
			return fmt.Errorf("move the replicas of broker %d: %w", r.id, err)
		}
	}
	for said := -1; ; {
		left, err := r.left(ctx)
		if err != nil {
			return fmt.Errorf("moving the replicas of broker %d: %w", r.id, err)
		}
		if left != said {
			fmt.Fprintf(r.app.err, "moved %d of %d replicas\n", held-left, held)
			said = left
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(moveLook):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d replicas of broker %d are still there; the moves go on (kafka-reassign-partitions --list): %w", left, held, r.id, ctx.Err())
		}
	}
}

// left counts the partitions that the broker still holds a replica of.
func (r removal) left(ctx context.Context) (int, error) {
	meta, err := r.admin.Metadata(ctx)
	if err != nil {
		return 0, err
	}
	left := 0
	for _, topic := range meta.Topics {
		if topic.Err != nil && !errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			return 0, fmt.Errorf("topic %s: %w", topic.Topic, topic.Err)
		}
		for _, p := range topic.Partitions {
			if slices.Contains(p.Replicas, r.id) {
				left++
			}
		}
	}
	return left, nil
}
