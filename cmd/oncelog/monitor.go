package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/cmd/oncelog/proxy"
)

// monitorFlags say what to show of what passes.
type monitorFlags struct {
	apis                       []string
	client, topic, txid, group string
}

func (f *monitorFlags) on(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.apis, "api", nil, "show these APIs only, such as Produce,EndTxn")
	flags.StringVar(&f.client, "client", "", "show this client id only; it may end in *, as may the names below")
	flags.StringVar(&f.topic, "topic", "", "show requests that name this topic only")
	flags.StringVar(&f.group, "group", "", "show requests that name this group only")
	flags.StringVar(&f.txid, "txid", "", "show requests that name this transactional id only")
}

// match is the flags as a rule says it.
func (f *monitorFlags) match() (string, error) {
	var parts []string
	for _, p := range [][2]string{{"api", strings.Join(f.apis, ",")}, {"client", f.client}, {"topic", f.topic}, {"group", f.group}, {"txid", f.txid}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+strconv.Quote(p[1]))
		}
	}
	line := strings.Join(parts, " ")
	if _, err := fault.ParseMatch(line); err != nil {
		return "", usage("%w", err)
	}
	return line, nil
}

func (a *app) monitorCommand() *cobra.Command {
	var of monitorFlags
	var before proxyFlags
	var control controlFlags
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Show requests and answers as they pass, decoded and without secrets",
		Long: `Show requests and answers as they pass by a proxy, decoded and without secrets: of a
proxy that runs with --control, or with --upstream of one that this command runs itself.
A monitor that reads too slowly misses some, which it is told.`,
		Example: "  oncelog monitor --upstream localhost:9092 --api Produce,EndTxn\n  oncelog monitor --control 127.0.0.1:19091 --topic orders -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			match, err := of.match()
			if err != nil {
				return err
			}
			if len(before.upstream) > 0 {
				return a.monitorBefore(cmd.Context(), &before, match)
			}
			return a.monitorRunning(cmd.Context(), &control, match)
		},
	}
	a.tlsFlagsOn(cmd)
	before.on(cmd)
	control.on(cmd)
	of.on(cmd)
	a.formatFlag(cmd)
	return cmd
}

// monitorBefore runs a proxy and shows what passes.
func (a *app) monitorBefore(ctx context.Context, f *proxyFlags, line string) (err error) {
	match, err := fault.ParseMatch(line)
	if err != nil {
		return err
	}
	p, err := a.openProxy(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	w, err := p.Watch(match)
	if err != nil {
		return err
	}
	defer p.Unwatch(w)
	fmt.Fprintf(a.err, "clients begin at %s\n", p.Address())
	for {
		told, err := w.Next(ctx)
		if err != nil {
			return nil // interrupted, which is how it ends
		}
		if err := a.tell(&told); err != nil {
			return err
		}
	}
}

func (a *app) tell(t *proxy.Told) error {
	t.Text = t.Line()
	if a.format == "json" {
		return a.printJSON(t)
	}
	_, err := fmt.Fprintln(a.out, t.Text)
	return err
}

// monitorRunning shows what passes by a proxy that runs.
func (a *app) monitorRunning(ctx context.Context, f *controlFlags, line string) error {
	response, err := f.open(ctx, http.MethodGet, "/api/monitor?match="+url.QueryEscape(line), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Fprintf(a.err, "watching %s\n", f.address)
	for d := json.NewDecoder(response.Body); ; {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				return nil
			}
			return failed(exitUnreachable, "the proxy at %s has gone: %w", f.address, err)
		}
		if a.format == "json" {
			if err := a.printJSON(one); err != nil {
				return err
			}
			continue
		}
		var told struct{ Text string }
		if err := json.Unmarshal(one, &told); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.out, told.Text); err != nil {
			return err
		}
	}
}
