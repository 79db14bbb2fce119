package main

import (
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
	port     int
	httpPort int
	headless bool
	logDirs  string
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
but for group.initial.rebalance.delay.ms=0: a group's first member waits for no others.`,
		Example: "  oncelog dev --topic orders:3\n  oncelog dev --port 0 --headless -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			topics, err := parseTopics(f.topics)
			if err != nil {
				return err
			}
			properties, err := f.devProperties(cmd.Flags().Changed("port"))
			if err != nil {
				return err
			}
			if properties["log.dirs"] == "" && properties["log.dir"] == "" {
				dir, err := temporaryFolder()
				if err != nil {
					return err
				}
				properties["log.dirs"] = dir
				defer func() {
					if err := os.RemoveAll(dir); err != nil {
						fmt.Fprintf(a.err, "oncelog: remove the temporary folder: %v\n", err)
					}
				}()
			}
			return a.runBroker(cmd.Context(), &f.brokerFlags, properties, func(s *session) error {
				return s.ready(cmd, topics)
			})
		},
	}
	f.on(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.topics, "topic", nil, "create a topic, NAME or NAME:PARTITIONS (repeat)")
	flags.IntVar(&f.port, "port", 9092, "port for clients; 0 takes a free one")
	flags.IntVar(&f.httpPort, "console-port", 10092, "port for /metrics, /healthz and /readyz; 0 takes a free one")
	flags.BoolVar(&f.headless, "headless", false, "serve no HTTP")
	flags.StringVar(&f.logDirs, "log-dirs", "", "keep the data in this folder")
	a.formatFlag(cmd)
	return cmd
}

// ready creates the topics asked for and tells where everything is.
func (s *session) ready(cmd *cobra.Command, topics []newTopic) error {
	for _, t := range topics {
		if err := s.broker.EnsureTopic(cmd.Context(), t.name, t.partitions); err != nil {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	s.banner(fmt.Sprintf("oncelog %s · development broker (data in %s)", version, s.properties["log.dirs"]))
	return nil
}

// devProperties are the properties of serve with what makes dev need none.
func (f *devFlags) devProperties(portGiven bool) (map[string]string, error) {
	properties, err := f.properties()
	if err != nil {
		return nil, err
	}
	if _, configured := properties["listeners"]; portGiven || !configured {
		properties["listeners"] = fmt.Sprintf("PLAINTEXT://localhost:%d", f.port)
	}
	if _, configured := properties[rebalanceDelay]; !configured {
		properties[rebalanceDelay] = "0" // a lone developer's first consumer need not wait for others
	}
	if f.logDirs != "" {
		properties["log.dirs"] = f.logDirs
	}
	if !f.headless {
		f.httpAddr = fmt.Sprintf("localhost:%d", f.httpPort)
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
