package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oncelog/oncelog/conformance/nemesis"
)

// children are the brokers of a cluster, each in a process of its own, and the
// proxies through which they reach each other. It restarts none by itself.
type children struct {
	app     *app
	mesh    *nemesis.Mesh
	newborn func(id int32, p ports, own map[string]string) *child
	free    func() (ports, error)
	dir     string
	changed func()      // called when a process was started, serves or has ended
	say     func(error) // of what nobody waits for

	mu  sync.Mutex
	all []*child
}

var _ nemesis.Cluster = (*children)(nil)

// newChildren prepares brokers with these properties, each with a folder of its
// own below dir; none is started. What they log goes where logs says.
func (a *app) newChildren(f *devFlags, properties map[string]string, dir string, logs func(id int32) io.Writer) (*children, error) {
	taken := make(map[int32]ports)
	targets := make(map[int32]string)
	for i := range f.brokers {
		p, err := f.portsOf(i)
		if err != nil {
			return nil, err
		}
		taken[int32(i+1)], targets[int32(i+1)] = p, p.controller
	}
	mesh, err := nemesis.NewMesh(targets)
	if err != nil {
		return nil, err
	}
	c := &children{app: a, mesh: mesh, dir: dir, changed: func() {}, say: func(err error) { fmt.Fprintf(a.err, "oncelog: %v\n", err) }}
	c.free = func() (ports, error) { return f.portsOf(len(c.Nodes())) }
	c.newborn = func(id int32, p ports, own map[string]string) *child {
		own["node.id"], own["log.dirs"], own["controller.listener.names"] = fmt.Sprint(id), filepath.Join(dir, fmt.Sprint(id)), "CONTROLLER"
		own["listeners"] = fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", p.clients, p.controller)
		for name, value := range properties {
			setDefault(own, name, value)
		}
		one := &child{id: id, args: f.serveArgs(own, p.http), dir: own["log.dirs"], bootstrap: p.clients, logs: logs(id)}
		if p.http != "" {
			one.http = "http://" + p.http
		}
		one.changed = func(state string) { c.note(id, state) }
		return one
	}
	for i := range f.brokers {
		id := int32(i + 1)
		c.all = append(c.all, c.newborn(id, taken[id], map[string]string{"controller.quorum.voters": votersOf(id, targets, mesh)}))
	}
	return c, nil
}

// note takes note of what a child does now.
func (c *children) note(id int32, state string) {
	if state == childEnded {
		if err := c.mesh.Down(id); err != nil {
			c.say(fmt.Errorf("proxies of broker %d: %w", id, err))
		}
	}
	c.changed()
}

// list is all children there are now.
func (c *children) list() []*child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// ports are the addresses of one broker. They are known before it starts and
// stay the same when it is started again.
type ports struct{ clients, controller, http string }

func (f *devFlags) portsOf(i int) (p ports, err error) {
	var wanted []net.Listener
	defer func() {
		for _, l := range wanted {
			err = errors.Join(err, l.Close())
		}
	}()
	free := func() string {
		l, failure := nemesis.ListenLow()
		if failure != nil {
			err = errors.Join(err, failure)
			return ""
		}
		wanted = append(wanted, l)
		return l.Addr().String()
	}
	local := func(port int) string {
		if port != 0 {
			return fmt.Sprintf("localhost:%d", port+i)
		}
		_, free, _ := net.SplitHostPort(free())
		return "localhost:" + free
	}
	p.controller, p.clients = free(), local(f.port)
	if !f.headless {
		p.http = local(f.httpPort)
	}
	return p, err
}

// votersOf is controller.quorum.voters for one broker, which reaches the others
// through proxies.
func votersOf(id int32, targets map[int32]string, mesh *nemesis.Mesh) string {
	var voters []string
	for other, address := range targets {
		if other != id {
			address = mesh.Address(id, other)
		}
		voters = append(voters, fmt.Sprintf("%d@%s", other, address))
	}
	slices.Sort(voters)
	return strings.Join(voters, ",")
}

// serveArgs is the command line of one broker.
func (f *devFlags) serveArgs(properties map[string]string, http string) []string {
	args := []string{"serve", "-o", "json", "--" + untilEOF}
	if http != "" {
		args = append(args, "--http", http)
	}
	if f.verbose {
		args = append(args, "--verbose")
	}
	for _, feature := range f.features {
		args = append(args, "--feature", feature)
	}
	var set []string
	for name, value := range properties {
		set = append(set, "--set="+name+"="+value)
	}
	slices.SortFunc(set, cmp.Compare[string])
	return append(args, set...)
}

func (c *children) find(node int32) (*child, error) {
	for _, one := range c.list() {
		if one.id == node {
			return one, nil
		}
	}
	return nil, fmt.Errorf("there is no broker %d: want one of %v", node, c.Nodes())
}

// on does something to one broker.
func (c *children) on(node int32, do func(*child) error) error {
	one, err := c.find(node)
	if err != nil {
		return err
	}
	return do(one)
}

func (c *children) Nodes() (all []int32) {
	for _, one := range c.list() {
		all = append(all, one.id)
	}
	return all
}

func (c *children) Bootstrap() (all []string) {
	for _, one := range c.list() {
		all = append(all, one.bootstrap)
	}
	return all
}

func (c *children) Start(node int32) error {
	return c.on(node, func(one *child) error {
		if err := errors.Join(c.mesh.Up(node), one.start()); err != nil {
			return err
		}
		c.changed()
		return nil
	})
}

func (c *children) Kill(node int32) error      { return c.on(node, (*child).kill) }
func (c *children) Terminate(node int32) error { return c.on(node, (*child).stop) }

func (c *children) Ended(node int32) bool {
	one, err := c.find(node)
	if err != nil {
		return false
	}
	_, pid := one.state()
	return pid == 0
}

func (c *children) AwaitServing(ctx context.Context, node int32) error {
	return c.on(node, func(one *child) error { return one.awaitServing(ctx) })
}

func (c *children) Pause(node int32) error {
	return c.on(node, func(one *child) error { return one.setPaused(true) })
}

func (c *children) Resume(node int32) error {
	return c.on(node, func(one *child) error { return one.setPaused(false) })
}

func (c *children) Cut(from, to int32) error { return c.mesh.Cut(from, to) }
func (c *children) Heal() error              { return c.mesh.Heal() }

func (c *children) Slow(from, to int32, delay time.Duration) error {
	return c.mesh.Slow(from, to, delay)
}

// startAll starts every broker and waits until all serve.
func (c *children) startAll(ctx context.Context) error {
	for _, node := range c.Nodes() {
		if err := c.Start(node); err != nil {
			return err
		}
	}
	starting, ctx := errgroup.WithContext(ctx)
	for _, one := range c.list() {
		starting.Go(func() error { return one.awaitServing(ctx) })
	}
	return starting.Wait()
}

// close ends all brokers together, and the proxies.
func (c *children) close() error {
	err := c.mesh.Heal()
	var closing errgroup.Group
	for _, one := range c.list() {
		if _, pid := one.state(); pid != 0 {
			closing.Go(one.stop)
		}
	}
	return errors.Join(err, closing.Wait(), c.mesh.Close())
}

// A childStatus is one broker as cluster.json and the cluster commands show it.
type childStatus struct {
	ID      int32  `json:"node_id"`
	Address string `json:"address"`
	PID     int    `json:"pid,omitempty"`
	State   string `json:"state"`
	Folder  string `json:"log_dirs"`
	HTTP    string `json:"http,omitempty"`
}

func (c *children) status() (all []childStatus) {
	for _, one := range c.list() {
		state, pid := one.state()
		all = append(all, childStatus{one.id, one.bootstrap, pid, state, one.dir, one.http})
	}
	return all
}

// bannerNodes are the brokers for the banner.
func (c *children) bannerNodes() (all []bannerNode) {
	for _, one := range c.list() {
		_, pid := one.state()
		all = append(all, bannerNode{NodeID: json.Number(fmt.Sprint(one.id)), Bootstrap: one.bootstrap, LogDirs: one.dir, HTTP: one.http, PID: pid})
	}
	return all
}
