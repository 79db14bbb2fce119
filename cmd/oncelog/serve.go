package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/term"

	"github.com/oncelog/oncelog/broker"
)

// brokerFlags configure a broker, for dev and serve alike.
type brokerFlags struct {
	file     string
	set      []string
	features []string
	verbose  bool
}

func (f *brokerFlags) on(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "properties file with Kafka's names")
	flags.StringArrayVar(&f.set, "set", nil, "one property, name=value (repeat); wins over environment and file")
	flags.StringArrayVar(&f.features, "feature", nil, "finalize a feature at another level, such as transaction.version=1 (repeat)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log what the broker does")
}

// properties merges the sources of configuration: --set wins over the
// environment, which wins over the file.
func (f *brokerFlags) properties() (map[string]string, error) {
	properties := make(map[string]string)
	if f.file != "" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, usage("--config: %w", err)
		}
		defer file.Close()
		read, err := broker.ReadProperties(file)
		if err != nil {
			return nil, usage("--config %s: %w", f.file, err)
		}
		maps.Copy(properties, read)
	}
	maps.Copy(properties, broker.EnvProperties(os.Environ()))
	for _, pair := range f.set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--set %q, want name=value", pair)
		}
		properties[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return properties, nil
}

// levels parses --feature.
func (f *brokerFlags) levels() (map[string]int16, error) {
	levels := make(map[string]int16)
	for _, pair := range f.features {
		name, value, _ := strings.Cut(pair, "=")
		var level int16
		if _, err := fmt.Sscanf(value, "%d", &level); err != nil {
			return nil, usage("--feature %q, want name=level, such as transaction.version=2", pair)
		}
		levels[name] = level
	}
	return levels, nil
}

// logger writes to standard error: JSON for machines, text for people.
func (a *app) logger(verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if file, ok := a.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return slog.New(slog.NewTextHandler(a.err, options))
	}
	return slog.New(slog.NewJSONHandler(a.err, options))
}

func (a *app) serveCommand() *cobra.Command {
	var f brokerFlags
	var httpAddr string
	var tethered bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a durable broker from an explicit configuration",
		Long: `Run a durable broker. log.dirs must be given: by a properties file (--config),
an environment variable (KAFKA_LOG_DIRS) or --set log.dirs=FOLDER.

Several brokers are one cluster when the configuration of each names them all, itself
among them, and the same cluster id:

  node.id=1
  cluster.id=payments
  listeners=PLAINTEXT://host1:9092,CONTROLLER://host1:9093
  controller.listener.names=CONTROLLER
  controller.quorum.voters=1@host1:9093,2@host2:9093,3@host3:9093

A broker serves once a majority of them is there.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			properties, err := f.properties()
			if err != nil {
				return err
			}
			if properties["log.dirs"] == "" && properties["log.dir"] == "" {
				return usage("serve wants log.dirs, the folder for the data; for a throw-away broker use: oncelog dev")
			}
			ctx := cmd.Context()
			if tethered {
				ctx = a.untilEOF(ctx)
			}
			one := &node{properties: properties, httpAddr: httpAddr}
			return a.runBrokers(ctx, &f, []*node{one}, func(s *session) error {
				s.banner(fmt.Sprintf("oncelog %s · broker %s", version, properties["log.dirs"]), properties["log.dirs"])
				return nil
			})
		},
	}
	f.on(cmd)
	cmd.Flags().BoolVar(&tethered, untilEOF, false, "end when standard input ends")
	if err := cmd.Flags().MarkHidden(untilEOF); err != nil {
		panic(err) // the flag is there
	}
	cmd.Flags().StringVar(&httpAddr, "http", "", "address for /metrics, /healthz and /readyz, such as :10092; none if empty")
	a.formatFlag(cmd)
	return cmd
}

// untilEOF is the flag with which dev starts its brokers: they end with it, however
// it ends.
const untilEOF = "until-eof"

// untilEOF returns a context that ends when standard input does. Whoever reads
// it does so until the process ends: there is no way to stop a read of it.
func (a *app) untilEOF(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, a.in) // an error is an end, too
	}()
	return ctx
}

// startError sorts a failed start: what the caller configured is the caller's.
func startError(err error) error {
	var listening *net.OpError
	switch {
	case errors.Is(err, broker.ErrConfig):
		return &exitError{exitUsage, err}
	case errors.Is(err, kerr.InvalidUpdateVersion): // of --feature
		return usage("start the broker: %w", err)
	case errors.As(err, &listening):
		return usage("start the broker: %w; choose another port, or 0 for a free one", err)
	}
	return fmt.Errorf("start the broker: %w", err)
}
