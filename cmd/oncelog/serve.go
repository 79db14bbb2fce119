package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/term"

	"github.com/oncelog/oncelog/broker"
)

// closeTimeout bounds a clean end; after it the process ends as if killed,
// which loses nothing that was acknowledged.
const closeTimeout = 5 * time.Second

// brokerFlags configure a broker, for dev and serve alike.
type brokerFlags struct {
	file     string
	set      []string
	features []string
	httpAddr string
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
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a durable broker from an explicit configuration",
		Long: `Run a durable broker. log.dirs must be given: by a properties file (--config),
an environment variable (KAFKA_LOG_DIRS) or --set log.dirs=FOLDER.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			properties, err := f.properties()
			if err != nil {
				return err
			}
			if properties["log.dirs"] == "" && properties["log.dir"] == "" {
				return usage("serve wants log.dirs, the folder for the data; for a throw-away broker use: oncelog dev")
			}
			return a.runBroker(cmd.Context(), &f, properties, func(s *session) error {
				s.banner(fmt.Sprintf("oncelog %s · broker %s", version, s.properties["log.dirs"]))
				return nil
			})
		},
	}
	f.on(cmd)
	cmd.Flags().StringVar(&f.httpAddr, "http", "", "address for /metrics, /healthz and /readyz, such as :10092; none if empty")
	a.formatFlag(cmd)
	return cmd
}

// A session is one running broker and its HTTP server.
type session struct {
	app        *app
	broker     *broker.Broker
	properties map[string]string
	http       net.Listener
	began      time.Time
}

// runBroker opens a broker, calls ready, and serves until ctx ends.
func (a *app) runBroker(ctx context.Context, f *brokerFlags, properties map[string]string, ready func(*session) error) error {
	began := time.Now()
	features, err := f.levels()
	if err != nil {
		return err
	}
	b, err := broker.Open(ctx, broker.Config{Properties: properties, Features: features, Logger: a.logger(f.verbose)})
	if err != nil {
		return startError(err)
	}
	s := &session{app: a, broker: b, properties: properties, began: began}
	stopHTTP, err := s.serveHTTP(f.httpAddr)
	if err == nil {
		err = ready(s)
	}
	if err == nil {
		<-ctx.Done()
	}
	stopHTTP()
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(err, b.Close(closing))
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

// serveHTTP starts the HTTP server where addr asks for one; what it returns
// stops the server and waits for it.
func (s *session) serveHTTP(addr string) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	if s.http, err = net.Listen("tcp", addr); err != nil {
		return func() {}, usage("HTTP address: %w", err)
	}
	server := &http.Server{Handler: s.broker.Handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(s.http); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(s.app.err, "oncelog: HTTP: %v\n", err)
		}
	}()
	return func() {
		if err := server.Close(); err != nil {
			fmt.Fprintf(s.app.err, "oncelog: HTTP: %v\n", err)
		}
		<-done
	}, nil
}

// bootstrap is the address that a client on this machine uses.
func (s *session) bootstrap() string { return local(s.broker.Addr()) }

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

// banner says where the broker is: a box for people, one JSON line for programs.
func (s *session) banner(title string) {
	took := time.Since(s.began).Round(100 * time.Microsecond)
	if s.app.format == "json" {
		line := map[string]any{
			"version": version, "bootstrap": s.bootstrap(), "cluster_id": s.broker.ClusterID(),
			"log_dirs": s.properties["log.dirs"], "pid": os.Getpid(), "started_ms": float64(took.Microseconds()) / 1000,
		}
		if s.http != nil {
			line["http"] = "http://" + local(s.http.Addr())
		}
		if err := s.app.printJSON(line); err != nil {
			fmt.Fprintf(s.app.err, "oncelog: banner: %v\n", err)
		}
		return
	}
	fmt.Fprintln(s.app.out, title)
	fmt.Fprintf(s.app.out, "  Kafka      %-24s (1 broker, speaking Kafka %s, cluster id %s)\n", s.bootstrap(), speaks, s.broker.ClusterID())
	if s.http != nil {
		url := "http://" + local(s.http.Addr())
		fmt.Fprintf(s.app.out, "  Metrics    %s/metrics    Ready: %s/readyz\n", url, url)
	}
	fmt.Fprintf(s.app.out, "Ready in %v.  (Ctrl-C to stop)\n", took)
}
