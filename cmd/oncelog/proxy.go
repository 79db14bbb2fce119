package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/cmd/oncelog/proxy"
)

// proxyFlags say before which brokers to stand, and where.
type proxyFlags struct {
	upstream   []string
	listen     string
	advertised string
	rules      []string
	file       string
	verbose    bool
}

func (f *proxyFlags) on(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.upstream, "upstream", nil, "brokers to begin with, host:port; the others are found by Metadata")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:19092", "where clients begin; brokers are on the ports that follow, or on free ones with port 0")
	flags.StringVar(&f.advertised, "advertised-host", "", "the host that clients are told (default: where they reached the proxy)")
	flags.StringArrayVar(&f.rules, "fault", nil, `what to do to which requests, such as "lose-answer api=Produce topic=orders" (repeat)`)
	flags.StringVar(&f.file, "faults", "", "file of such rules, one a line, or a JSON array of objects")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log connections and faults to standard error")
}

// rulesHelp is how rules are written; cmd/oncelog and docs/faults.md say the same.
const rulesHelp = `A rule is an act, then key=value in any order:
  drop          the request does not reach the broker            then=close|hang
  lose-answer   it is carried out, and its answer is lost        then=close|hang
  duplicate     the same bytes come again on a new connection    after=1s
  delay         it, or its answer, is late                       for=2s at=request|answer
  reorder       it waits until others have overtaken it          behind=1 for=10s
  close         the connection ends behind it, or within its answer   at=request|answer
  error         it is refused, or its answer is made an error    code=NAME at=request|answer
which requests: api=Produce,EndTxn client= topic= partition= group= txid= pid= seq= node=
  (names may end in *); of those the nth=1, times=1|all, counted per=client|connection|
  group|partition|pid|txid, or by chance=0.1 seed=7`

func (a *app) proxyCommand() *cobra.Command {
	var f proxyFlags
	var control controlFlags
	cmd := &cobra.Command{
		Use:   "proxy --upstream BROKER",
		Short: "Stand before any Kafka-compatible brokers and do to requests what rules say",
		Long: `Stand before any Kafka-compatible brokers: clients that begin at the proxy find only
it, since it listens once for each broker and rewrites what they say of where they are.
SASL passes through. Each rule counts the requests that are like it, so that the same
rules hit the same request again when clients do the same again.

` + rulesHelp,
		Example: "  oncelog proxy --upstream localhost:9092 --fault 'lose-answer api=Produce topic=orders'\n  oncelog proxy --upstream localhost:9092 --faults rules.txt -v",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.proxy(cmd.Context(), &f, &control)
		},
	}
	a.tlsFlagsOn(cmd)
	f.on(cmd)
	cmd.Flags().StringVar(&control.address, "control", "", "serve oncelog fault and oncelog monitor here, such as "+defaultControl+"; beyond loopback it wants --token-file (default: nobody)")
	control.tokenOn(cmd)
	a.formatFlag(cmd)
	return cmd
}

// proxy serves until it is interrupted.
func (a *app) proxy(ctx context.Context, f *proxyFlags, control *controlFlags) (err error) {
	token, err := control.token()
	if err != nil {
		return err
	}
	p, err := a.openProxy(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	banner := map[string]any{"version": version, "bootstrap": p.Address(), "upstream": f.upstream, "pid": os.Getpid()}
	told := fmt.Sprintf("oncelog %s · proxy\n  Kafka      %s (before %s)\n", version, p.Address(), strings.Join(f.upstream, ","))
	if control.address != "" {
		c, failed := proxy.Serve(p, control.address, token)
		if failed != nil {
			return usage("--control: %w", failed)
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		banner["control"] = c.Address()
		told += fmt.Sprintf("  Control    %s (oncelog fault, oncelog monitor)\n", c.Address())
	}
	if a.format == "json" {
		err = a.printJSON(banner)
	} else {
		_, err = fmt.Fprintln(a.out, told+"(Ctrl-C to stop)")
	}
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// openProxy opens a proxy with the rules that the flags have.
func (a *app) openProxy(f *proxyFlags) (*proxy.Proxy, error) {
	if len(f.upstream) == 0 {
		return nil, usage("--upstream is missing: the brokers to stand before, such as --upstream localhost:9092")
	}
	rules, err := f.allRules()
	if err != nil {
		return nil, err
	}
	faults := new(fault.Set)
	for _, r := range rules {
		if err := proxy.Check(r); err != nil {
			return nil, usage("%w", err)
		}
		if _, err := faults.Add(r); err != nil {
			return nil, usage("%w", err)
		}
	}
	secure, err := a.client.tlsConfig()
	if err != nil {
		return nil, err
	}
	config := proxy.Config{Upstream: f.upstream, Listen: f.listen, Advertise: f.advertised, Faults: faults, Logger: a.logger(f.verbose)}
	if secure != nil {
		config.Dial = (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: secure}).DialContext
	}
	p, err := proxy.Open(config)
	if err != nil {
		return nil, startError(err)
	}
	return p, nil
}

// allRules are those of the command line, then those of the file.
func (f *proxyFlags) allRules() (rules []fault.Rule, err error) {
	for _, line := range f.rules {
		r, err := fault.Parse(line)
		if err != nil {
			return nil, usage("--fault %q: %w", line, err)
		}
		rules = append(rules, r)
	}
	if f.file == "" {
		return rules, nil
	}
	content, err := os.ReadFile(f.file)
	if err != nil {
		return nil, usage("--faults: %w", err)
	}
	more, err := fault.ParseFile(content)
	if err != nil {
		return nil, usage("--faults %s: %w", f.file, err)
	}
	return append(rules, more...), nil
}
