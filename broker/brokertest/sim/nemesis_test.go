//go:build synctests

package sim_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/conformance/verify"
	"github.com/oncelog/oncelog/log/vfs"
)

// outside is the host of all clients in the cluster's network.
const outside = ""

// startTries bounds how often a node is started that does not come up, 300 ms apart.
const startTries = 100

// A nemesis does to a cluster what a plan says.
type nemesis struct {
	cluster  *brokertest.Cluster
	recorder *verify.Recorder
}

// run carries out a plan and leaves everything whole behind.
func (n *nemesis) run(ctx context.Context, p plan) error {
	var errs []error
	for _, f := range p.faults {
		time.Sleep(f.after)
		n.recorder.Add(verify.Event{Kind: verify.Kill})
		if f.beside == nil {
			errs = append(errs, n.commit(ctx, f))
			continue
		}
		var both sync.WaitGroup
		var other error
		both.Go(func() { other = n.commit(ctx, *f.beside) })
		errs = append(errs, n.commit(ctx, f))
		both.Wait()
		errs = append(errs, other)
	}
	return errors.Join(errs...)
}

// commit carries out one fault and ends it.
func (n *nemesis) commit(ctx context.Context, f fault) error {
	network, host := n.cluster.Network, brokertest.HostName(f.node)
	switch f.kind {
	case cutOff, deaf, mute, parted, stalled:
		ways := n.ways(f)
		for _, w := range ways {
			network.Cut(w[0], w[1])
		}
		time.Sleep(f.length)
		for _, w := range ways {
			network.Heal(w[0], w[1])
		}
	case slow:
		for _, to := range n.others(f.node) {
			network.Slow(host, to, f.delay)
		}
		time.Sleep(f.length)
		n.quick()
	case faulty, full:
		if f.kind == full {
			f.rule = vfs.Rule{Op: vfs.OpWrite, Error: vfs.ENOSPC, Short: f.rule.Short}
		}
		n.cluster.Faults(f.node).SetRules(f.rule)
		time.Sleep(f.length)
		n.cluster.Faults(f.node).SetRules()
	case restarted:
		if err := n.cluster.Stop(f.node); err != nil {
			return fmt.Errorf("stop node %d: %w", f.node, err)
		}
		time.Sleep(f.length)
		return n.start(ctx, f.node)
	case killed, unplugged, wiped:
		n.cluster.Crash(f.node, crashOf(f), f.seed)
		if f.kind == wiped {
			n.cluster.Wipe(f.node)
		}
		time.Sleep(f.length)
		return n.start(ctx, f.node)
	case killedAll, cutAll:
		for _, node := range nodes {
			n.cluster.Crash(node, crashOf(f), f.seed)
		}
		time.Sleep(f.length)
		return n.start(ctx, nodes...)
	}
	return nil
}

// latency is how long it takes from clients to nodes and back. Were there none,
// a client that asks again at once would keep time from passing.
const latency = 4 * time.Millisecond

// quick ends all slowness of the network.
func (n *nemesis) quick() {
	for _, node := range nodes {
		host := brokertest.HostName(node)
		for _, other := range n.others(node)[1:] {
			n.cluster.Network.Slow(host, other, 0)
		}
		n.cluster.Network.Slow(host, outside, latency)
		n.cluster.Network.Slow(outside, host, latency)
	}
}

func crashOf(f fault) vfs.CrashMode {
	if f.kind == unplugged || f.kind == cutAll {
		return f.mode
	}
	return vfs.Killed
}

// others are the hosts that a node speaks with.
func (n *nemesis) others(node int32) []string {
	all := []string{outside}
	for _, other := range nodes {
		if other != node {
			all = append(all, brokertest.HostName(other))
		}
	}
	return all
}

// ways lists the directions that a fault cuts.
func (n *nemesis) ways(f fault) (ways [][2]string) {
	host := brokertest.HostName(f.node)
	others := n.others(f.node)
	switch f.kind {
	case parted:
		others = []string{brokertest.HostName(f.other)}
	case stalled:
	default:
		others = others[1:]
	}
	for _, other := range others {
		if f.kind != deaf {
			ways = append(ways, [2]string{host, other})
		}
		if f.kind != mute {
			ways = append(ways, [2]string{other, host})
		}
	}
	return ways
}

// start starts nodes together, and again those whose disk or whose majority is
// not there yet.
func (n *nemesis) start(ctx context.Context, which ...int32) error {
	errs := make([]error, len(which))
	var all sync.WaitGroup
	for i, node := range which {
		all.Go(func() {
			for range startTries {
				if errs[i] = n.cluster.Start(ctx, node); errs[i] == nil {
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
