package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/oncelog/oncelog/protocol/memnet"
)

// A Cluster is several brokers on one network, one machine each.
type Cluster struct {
	Network *memnet.Network
	Servers []*Server // by node id - 1; nil while one is stopped

	founders int
	given    Options
	options  []Options
	disks    []*disk
}

// HostName is the machine of a node in the cluster's network.
func HostName(node int32) string { return fmt.Sprint("node ", node) }

// StartCluster starts brokers with the node ids 1 to n, and closes them when the
// test ends. Topics have as many replicas as there are brokers, 3 at most. FS,
// Network and Host of the options are not looked at.
func StartCluster(t testing.TB, n int, options Options) *Cluster {
	t.Helper()
	c := &Cluster{Network: memnet.New(), Servers: make([]*Server, n), founders: n, given: options}
	for i := range n {
		c.options = append(c.options, c.optionsOf(t, int32(i+1)))
	}
	t.Cleanup(func() {
		for _, s := range c.Servers {
			if s == nil {
				continue
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := c.StartAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// optionsOf makes a broker's disk and its options: it founds the cluster with the others, or joins it.
func (c *Cluster) optionsOf(t testing.TB, node int32) Options {
	replicas, inSync := strconv.Itoa(min(c.founders, 3)), strconv.Itoa(min(c.founders, 3)/2+1)
	all := map[string]string{
		"node.id":                                  strconv.Itoa(int(node)),
		"cluster.id":                               "brokertest",
		"listeners":                                fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", 9089+node, 9189+node),
		"controller.listener.names":                "CONTROLLER",
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      inSync,
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            inSync,
	}
	var voters, servers []string
	for i := range c.founders {
		servers = append(servers, fmt.Sprintf("127.0.0.1:%d", 9190+i))
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, servers[i]))
	}
	if int(node) <= c.founders {
		all["controller.quorum.voters"] = strings.Join(voters, ",")
	} else {
		all["controller.quorum.bootstrap.servers"] = strings.Join(servers, ",")
	}
	maps.Copy(all, c.given.Properties)
	one := c.given
	if one.Logger == nil && testing.Verbose() {
		one.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", node)
	}
	d := newDisk()
	c.disks = append(c.disks, d)
	one.Properties, one.FS, one.Network, one.Host = all, d.faults, c.Network, HostName(node)
	return one
}

// Add starts one more broker, which joins the others, and returns its node id.
func (c *Cluster) Add(t testing.TB) int32 {
	t.Helper()
	node := int32(len(c.Servers) + 1)
	c.options, c.Servers = append(c.options, c.optionsOf(t, node)), append(c.Servers, nil)
	if err := c.Start(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	return node
}

// Remove takes a broker, which must hold no replicas, off the cluster and stops it.
func (c *Cluster) Remove(ctx context.Context, node int32) error {
	other := slices.IndexFunc(c.Servers, func(s *Server) bool { return s != nil && s != c.Servers[node-1] })
	if other < 0 {
		return fmt.Errorf("no broker but %d runs", node)
	}
	if err := c.Servers[other].Unregister(ctx, node); err != nil {
		return err
	}
	return c.Stop(node)
}

// StartAll starts the brokers that are stopped, together: none is up before a
// majority is.
func (c *Cluster) StartAll(ctx context.Context) error {
	var all errgroup.Group
	for i, s := range c.Servers {
		if s == nil {
			all.Go(func() error { return c.Start(ctx, int32(i+1)) })
		}
	}
	return all.Wait()
}

// Start starts a broker again on its disk.
func (c *Cluster) Start(ctx context.Context, node int32) error {
	s, err := Open(ctx, c.options[node-1])
	if err != nil {
		return fmt.Errorf("broker %d: %w", node, err)
	}
	c.Servers[node-1] = s
	return nil
}

// Stop closes a broker.
func (c *Cluster) Stop(node int32) error {
	s := c.Servers[node-1]
	c.Servers[node-1] = nil
	return s.Stop()
}

// Kill ends a broker as SIGKILL would: what is under way is not waited for.
func (c *Cluster) Kill(node int32) error {
	s := c.Servers[node-1]
	c.Servers[node-1] = nil
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Close(ctx)
}

// Addresses are the bootstrap servers.
func (c *Cluster) Addresses() []string {
	var all []string
	for i := range c.Servers {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", 9090+i))
	}
	return all
}
