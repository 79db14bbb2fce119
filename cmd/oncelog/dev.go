package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/log/vfs"
)

// devFlags are the flags of the dev command.
type devFlags struct {
	brokerFlags
	topics   []string
	brokers  int
	port     int
	httpPort int
	headless bool
	logDirs  string

	processes bool // each broker in one of its own
}

// rebalanceDelay is how long a new group waits for more members.
const rebalanceDelay = "group.initial.rebalance.delay.ms"

// devPrefix begins the name of every temporary folder that dev makes.
const devPrefix = "oncelog-dev-"

func (a *app) devCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a development broker, free of configuration",
		Long: `Run a development broker on localhost. Its data lies in a temporary folder that is
removed at the end, unless --log-dirs names one to keep. Settings are Kafka's defaults,
but for group.initial.rebalance.delay.ms=0: a group's first member waits for no others.

With --brokers 3 it is a cluster of three brokers in one process, each with a port and a
folder of its own, and topics have three replicas (default.replication.factor=3).
With --processes each broker is a process of its own, which oncelog cluster can kill,
stop, restart and part from the others; none is restarted by itself.`,
		Example: "  oncelog dev --topic orders:3\n  oncelog dev --brokers 3\n  oncelog dev --brokers 3 --processes\n  oncelog dev --port 0 --headless -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.dev(cmd.Context(), &f, cmd.Flags().Changed("port"))
		},
	}
	f.on(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.topics, "topic", nil, "create a topic, NAME or NAME:PARTITIONS (repeat)")
	flags.IntVar(&f.brokers, "brokers", 1, "run a cluster of 3 or 5 brokers in this process")
	flags.BoolVar(&f.processes, "processes", false, "run each of several brokers in a process of its own, for oncelog cluster")
	flags.IntVar(&f.port, "port", 9092, "port for clients, of the first broker; the others take the next ones; 0 takes free ones")
	flags.IntVar(&f.httpPort, "console-port", 10092, "port for /metrics, /healthz and /readyz, likewise")
	flags.BoolVar(&f.headless, "headless", false, "serve no HTTP")
	flags.StringVar(&f.logDirs, "log-dirs", "", "keep the data in this folder")
	a.formatFlag(cmd)
	return cmd
}

// dev runs the brokers that the flags ask for.
func (a *app) dev(ctx context.Context, f *devFlags, portGiven bool) error {
	topics, err := parseTopics(f.topics)
	if err != nil {
		return err
	}
	if f.brokers != 1 && f.brokers != 3 && f.brokers != 5 {
		return usage("--brokers %d, want 1, 3 or 5: an even number outlives no more failures than the odd one below", f.brokers)
	}
	if f.processes && f.brokers == 1 {
		return usage("--processes with one broker: use --brokers 3, or oncelog serve")
	}
	properties, err := f.devProperties(portGiven)
	if err != nil {
		return err
	}
	dir := cmp.Or(properties["log.dirs"], properties["log.dir"])
	if dir == "" {
		if dir, err = temporaryFolder(); err != nil {
			return err
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintf(a.err, "oncelog: remove the temporary folder: %v\n", err)
			}
		}()
	}
	if f.brokers > 1 {
		held, err := holdFolder(dir)
		if err != nil {
			return err
		}
		defer held.Close()
	}
	if f.processes {
		return a.runProcesses(ctx, f, properties, topics, dir)
	}
	nodes, err := f.nodes(properties, dir)
	if err != nil {
		return err
	}
	return a.runBrokers(ctx, &f.brokerFlags, nodes, func(s *session) error { return s.ready(ctx, topics, dir) })
}

// ready waits until all serve, creates the topics asked for and tells where
// everything is.
func (s *session) ready(ctx context.Context, topics []newTopic, dir string) error {
	first := s.nodes[0].broker
	for _, t := range topics {
		if err := first.EnsureTopic(ctx, t.name, t.partitions); err != nil {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	var known int64 // to each of them: all topics, and where all brokers are now
	for _, n := range s.nodes {
		known = max(known, n.broker.MetadataOffset())
	}
	for _, n := range s.nodes {
		if err := n.broker.WaitReady(ctx, known); err != nil {
			return err
		}
	}
	kind := "development broker"
	if len(s.nodes) > 1 {
		kind = "development cluster"
	}
	s.banner(fmt.Sprintf("oncelog %s · %s (data in %s)", version, kind, dir), dir)
	return nil
}

// devProperties are the properties of serve with what makes dev need none.
func (f *devFlags) devProperties(portGiven bool) (map[string]string, error) {
	properties, err := f.properties()
	if err != nil {
		return nil, err
	}
	if _, configured := properties["listeners"]; f.brokers == 1 && (portGiven || !configured) {
		properties["listeners"] = fmt.Sprintf("PLAINTEXT://localhost:%d", f.port)
	}
	setDefault(properties, rebalanceDelay, "0") // a lone developer's first consumer need not wait for others
	if f.logDirs != "" {
		properties["log.dirs"] = f.logDirs
	}
	return properties, nil
}

// newTopic is one --topic.
type newTopic struct {
	name       string
	partitions int32 // -1: the broker's default
}

func parseTopics(args []string) ([]newTopic, error) {
	topics := make([]newTopic, 0, len(args))
	for _, arg := range args {
		name, count, given := strings.Cut(arg, ":")
		t := newTopic{name, -1}
		if given {
			n, err := strconv.ParseInt(count, 10, 32)
			if err != nil || n < 1 {
				return nil, usage("--topic %q, want NAME or NAME:PARTITIONS with at least one partition", arg)
			}
			t.partitions = int32(n)
		}
		topics = append(topics, t)
	}
	return topics, nil
}

// temporaryFolder makes the folder of this run and removes those that killed
// runs left behind: they are the ones that nobody holds the lock of.
func temporaryFolder() (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), devPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if err := removeIfLeft(dir); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp("", devPrefix+"*")
}

// removeIfLeft removes a temporary folder whose broker is gone. A folder
// without a lock file may be one that is just being set up, and stays.
func removeIfLeft(dir string) error {
	lock := filepath.Join(dir, ".lock")
	if _, err := os.Stat(lock); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	held, err := vfs.OS.Lock(lock)
	if err != nil {
		return nil // a running broker's, or another user's
	}
	if err := held.Close(); err != nil {
		return fmt.Errorf("release %s: %w", lock, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	return nil
}
