package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/cmd/oncelog/proxy"
)

// controlFlags say where a proxy is controlled.
type controlFlags struct {
	address   string
	tokenFile string
}

// defaultControl is where commands look for a proxy's control.
const defaultControl = "127.0.0.1:19091"

func (f *controlFlags) on(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.address, "control", "b", defaultControl, "where the proxy is controlled, its --control")
	f.tokenOn(cmd)
}

func (f *controlFlags) tokenOn(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.tokenFile, "token-file", "", "file whose first line is the token of --control")
}

func (f *controlFlags) token() (string, error) {
	if f.tokenFile == "" {
		return "", nil
	}
	content, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", usage("--token-file: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimSpace(line); len(line) < 16 {
		return "", usage("--token-file %s begins with a token of %d characters, want at least 16", f.tokenFile, len(line))
	}
	return line, nil
}

func (a *app) faultCommand() *cobra.Command {
	var f controlFlags
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Tell a running proxy what to do to which requests, and what came of it",
		Long:  "Tell a proxy that runs with --control what to do to which requests.\n\n" + rulesHelp,
	}
	f.on(cmd)
	a.formatFlag(cmd)
	cmd.AddCommand(
		&cobra.Command{Use: "add RULE...", Short: "Put a rule in force, and print its id", Example: "  oncelog fault add lose-answer api=Produce topic=orders",
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return usage("oncelog fault add wants a rule: see oncelog fault --help")
				}
				return a.addFault(cmd.Context(), &f, strings.Join(args, " "))
			}},
		&cobra.Command{Use: "list", Short: "List the rules in force, and how often they hit", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.listFaults(cmd.Context(), &f, http.MethodGet, "/api/faults")
			}},
		&cobra.Command{Use: "remove ID", Short: "Take a rule out of force", Args: exactly("ID"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.listFaults(cmd.Context(), &f, http.MethodDelete, "/api/faults/"+url.PathEscape(args[0]))
			}},
		&cobra.Command{Use: "clear", Short: "Take all rules out of force", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.listFaults(cmd.Context(), &f, http.MethodDelete, "/api/faults")
			}},
		a.hitsCommand(&f),
	)
	return cmd
}

func (a *app) hitsCommand(f *controlFlags) *cobra.Command {
	var wait int64
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "hits [ID]", Short: "Tell which requests rules have hit, and what came of it", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/hits"
			if len(args) == 1 {
				path = "/api/faults/" + url.PathEscape(args[0]) + "/hits"
			}
			if wait > 0 {
				if len(args) == 0 {
					return usage("--wait wants the id of a rule")
				}
				path += "?wait=" + strconv.FormatInt(wait, 10) + "&timeout=" + timeout.String()
			}
			return a.printHits(cmd.Context(), f, path)
		},
	}
	cmd.Flags().Int64Var(&wait, "wait", 0, "wait until the rule has hit so often")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up waiting after this")
	return cmd
}

func (a *app) addFault(ctx context.Context, f *controlFlags, line string) error {
	if _, err := fault.Parse(line); err != nil {
		return usage("%q: %w", line, err)
	}
	body, err := json.Marshal(proxy.NewRule{Rule: line})
	if err != nil {
		return err
	}
	var added proxy.NewRule
	if err := f.ask(ctx, http.MethodPost, "/api/faults", body, &added); err != nil {
		return err
	}
	if a.format == "json" {
		return a.printJSON(added)
	}
	_, err = fmt.Fprintln(a.out, added.ID)
	return err
}

func (a *app) listFaults(ctx context.Context, f *controlFlags, method, path string) error {
	var all proxy.Rules
	if err := f.ask(ctx, method, path, nil, &all); err != nil {
		return err
	}
	rows := make([][]string, 0, len(all.Rules))
	for _, r := range all.Rules {
		rows = append(rows, text(r.ID, r.Matched, r.Hits, r.Line))
	}
	return a.print(all, []string{"ID", "MATCHED", "HITS", "RULE"}, rows)
}

func (a *app) printHits(ctx context.Context, f *controlFlags, path string) error {
	var all proxy.Hits
	if err := f.ask(ctx, http.MethodGet, path, nil, &all); err != nil {
		return err
	}
	rows := make([][]string, 0, len(all.Hits))
	for _, h := range all.Hits {
		rows = append(rows, text(h.N, h.At.Format("15:04:05.000"), h.RuleID, h.Act, h.Matched, h.API, h.Event.ClientID, h.Event.Node, h.Outcome))
	}
	return a.print(all, []string{"HIT", "TIME", "RULE", "ACT", "MATCH", "API", "CLIENT", "NODE", "OUTCOME"}, rows)
}

// open sends one request to a proxy's control.
func (f *controlFlags) open(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+f.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("--control %q: %w", f.address, err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, failed(exitUnreachable, "no proxy is controlled at %s: start one with oncelog proxy --control %s: %w", f.address, f.address, err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	why, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	code := exitFailed
	if response.StatusCode == http.StatusBadRequest {
		code = exitUsage
	}
	return nil, failed(code, "%s", strings.TrimSpace(string(why)))
}

// ask sends one request and decodes its answer.
func (f *controlFlags) ask(ctx context.Context, method, path string, body []byte, into any) error {
	response, err := f.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(into)
}
