package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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
	options []Options
	disks   []*disk
}

// HostName is the machine of a node in the cluster's network.
func HostName(node int32) string { return fmt.Sprint("node ", node) }

// StartCluster starts brokers with the node ids 1 to n, and closes them when the
// test ends. Topics have as many replicas as there are brokers, 3 at most. FS,
// Network and Host of the options are not looked at.
func StartCluster(t testing.TB, n int, options Options) *Cluster {
	t.Helper()
	c := &Cluster{Network: memnet.New(), Servers: make([]*Server, n)}
	var voters []string
	for i := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, 9190+i))
	}
	for i := range n {
		replicas := strconv.Itoa(min(n, 3))
		all := map[string]string{
			"node.id":                                  strconv.Itoa(i + 1),
			"cluster.id":                               "brokertest",
			"listeners":                                fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", 9090+i, 9190+i),
			"controller.listener.names":                "CONTROLLER",
			"controller.quorum.voters":                 strings.Join(voters, ","),
			"default.replication.factor":               replicas,
			"min.insync.replicas":                      strconv.Itoa(min(n, 3)/2 + 1),
			"offsets.topic.replication.factor":         replicas,
			"transaction.state.log.replication.factor": replicas,
			"transaction.state.log.min.isr":            strconv.Itoa(min(n, 3)/2 + 1),
		}
		maps.Copy(all, options.Properties)
		one := options
		if one.Logger == nil && testing.Verbose() {
			one.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", i+1)
		}
		c.disks = append(c.disks, newDisk())
		one.Properties, one.FS, one.Network, one.Host = all, c.disks[i].faults, c.Network, HostName(int32(i+1))
		c.options = append(c.options, one)
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
