package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oncelog/oncelog/broker"
)

// closeTimeout bounds a clean end; after it the process ends as if killed,
// which loses nothing that was acknowledged. The broker hands its leaderships over in
// a quarter of it at most, and closes its partitions then: on a busy machine some
// hundred take seconds.
const closeTimeout = 20 * time.Second

// A node is one broker of this process, and its HTTP server.
type node struct {
	properties map[string]string
	httpAddr   string       // empty: none
	controller net.Listener // taken before the others of its cluster were told its port; nil: none

	broker   *broker.Broker
	http     net.Listener
	stopHTTP func()
}

// A session is the brokers that one command runs: one, or a whole cluster.
type session struct {
	app   *app
	nodes []*node
	began time.Time
}

// runBrokers opens brokers, calls ready, and serves until ctx ends.
func (a *app) runBrokers(ctx context.Context, f *brokerFlags, nodes []*node, ready func(*session) error) error {
	s := &session{app: a, nodes: nodes, began: time.Now()}
	err := s.open(ctx, f)
	if err == nil {
		err = ready(s)
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, s.close())
}

// open starts the brokers together, for none is up before a majority is. When
// one fails, the others give up.
func (s *session) open(ctx context.Context, f *brokerFlags) error {
	features, err := f.levels()
	if err != nil {
		return err
	}
	logger := s.app.logger(f.verbose)
	starting, ctx := errgroup.WithContext(ctx)
	for _, n := range s.nodes {
		config := broker.Config{Properties: n.properties, Features: features, Logger: logger, Listen: n.listen}
		if len(s.nodes) > 1 {
			config.Logger = logger.With("node", n.properties["node.id"])
		}
		starting.Go(func() (err error) {
			n.broker, err = broker.Open(ctx, config)
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return startError(err)
	}
	for _, n := range s.nodes {
		if err := n.serveHTTP(s.app); err != nil {
			return err
		}
	}
	return nil
}

// close stops the brokers together: none waits for another that is gone.
func (s *session) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var closing errgroup.Group
	for _, n := range s.nodes {
		closing.Go(func() error { return n.close(ctx) })
	}
	return closing.Wait()
}

func (n *node) close(ctx context.Context) error {
	if n.stopHTTP != nil {
		n.stopHTTP()
	}
	var all []error
	if n.broker != nil {
		all = append(all, n.broker.Close(ctx))
	}
	if n.controller != nil { // closed already, unless the broker never came to it
		if err := n.controller.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// listen hands the broker the controller listener that was taken for it.
func (n *node) listen(network, address string) (net.Listener, error) {
	if n.controller != nil && address == n.controller.Addr().String() {
		return n.controller, nil
	}
	return net.Listen(network, address)
}

// serveHTTP starts the HTTP server, if the node is to have one; stopHTTP then
// stops it and waits for it.
func (n *node) serveHTTP(a *app) (err error) {
	if n.httpAddr == "" {
		return nil
	}
	if n.http, err = net.Listen("tcp", n.httpAddr); err != nil {
		return usage("HTTP address: %w", err)
	}
	server := &http.Server{Handler: n.broker.Handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(a.err, "oncelog: HTTP: %v\n", err)
		}
	}()
	n.stopHTTP = func() {
		if err := server.Close(); err != nil {
			fmt.Fprintf(a.err, "oncelog: HTTP: %v\n", err)
		}
		<-done
	}
	return nil
}

// local names an address as a client on this machine would.
func local(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// A bannerNode is one broker of the banner for programs.
type bannerNode struct {
	NodeID    json.Number `json:"node_id"`
	Bootstrap string      `json:"bootstrap"`
	LogDirs   string      `json:"log_dirs"`
	HTTP      string      `json:"http,omitempty"`
	PID       int         `json:"pid,omitempty"` // of a process of its own
}

// A bannerOf is what the banner says.
type bannerOf struct {
	title     string
	dirs      string // the folder of all brokers
	clusterID string
	began     time.Time
	nodes     []bannerNode
}

// banner says where the brokers of this process are. dirs is the folder of all.
func (s *session) banner(title, dirs string) {
	b := bannerOf{title: title, dirs: dirs, clusterID: s.nodes[0].broker.ClusterID(), began: s.began}
	for _, n := range s.nodes {
		b.nodes = append(b.nodes, bannerNode{NodeID: json.Number(n.properties["node.id"]), Bootstrap: local(n.broker.Addr()), LogDirs: n.properties["log.dirs"], HTTP: n.url()})
	}
	s.app.banner(b)
}

// banner prints a box for people, one JSON line for programs.
func (a *app) banner(b bannerOf) {
	took := time.Since(b.began).Round(100 * time.Microsecond)
	var bootstrap []string
	for _, n := range b.nodes {
		bootstrap = append(bootstrap, n.Bootstrap)
	}
	if a.format == "json" {
		line := map[string]any{
			"version": version, "bootstrap": strings.Join(bootstrap, ","), "cluster_id": b.clusterID,
			"log_dirs": b.dirs, "pid": os.Getpid(), "started_ms": float64(took.Microseconds()) / 1000,
		}
		if url := b.nodes[0].HTTP; url != "" {
			line["http"] = url
		}
		if len(b.nodes) > 1 {
			line["brokers"] = b.nodes
		}
		if err := a.printJSON(line); err != nil {
			fmt.Fprintf(a.err, "oncelog: banner: %v\n", err)
		}
		return
	}
	count := "1 broker"
	if len(b.nodes) > 1 {
		count = fmt.Sprintf("%d brokers", len(b.nodes))
	}
	fmt.Fprintln(a.out, b.title)
	fmt.Fprintf(a.out, "  Kafka      %-24s (%s, speaking Kafka %s, cluster id %s)\n", strings.Join(bootstrap, ","), count, speaks, b.clusterID)
	for _, n := range b.nodes {
		if n.HTTP != "" {
			fmt.Fprintf(a.out, "  Metrics    %s/metrics    Ready: %s/readyz\n", n.HTTP, n.HTTP)
		}
	}
	fmt.Fprintf(a.out, "Ready in %v.  (Ctrl-C to stop)\n", took)
}

// url is where the node's HTTP server is, empty when it has none.
func (n *node) url() string {
	if n.http == nil {
		return ""
	}
	return "http://" + local(n.http.Addr())
}
