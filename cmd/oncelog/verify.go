package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/conformance/verify"
)

func (a *app) verifyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "verify", Short: "Load a broker, break things on purpose, and judge what its clients were told"}
	a.formatFlag(cmd)
	cmd.AddCommand(a.verifyRun(), a.verifyChaos(), a.verifyAcks(), a.verifyCheck())
	return cmd
}

func (a *app) verifyCheck() *cobra.Command {
	var view string
	cmd := &cobra.Command{
		Use: "check FILE", Short: "Judge a history that was saved, or that another program wrote", Args: exactly("FILE"),
		Long: `Judge a history: a line of JSON for each thing that a client did or was told, as
verify run writes with --history, or as a client in any language does (docs/verify.md).

Exit 0: no promise was broken. 1: one was. 2: it is no history. 4: it has no round, so
nothing says that anything was tried.`,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return usage("history: %w", err)
			}
			defer file.Close()
			history, err := verify.ReadHistory(file)
			if err != nil {
				return usage("history: %w", err)
			}
			if view != "" {
				if err := writeView(view, history, a.progress()); err != nil {
					return err
				}
			}
			return a.verdict(verify.Judge(history, verify.Floors{}), nil)
		},
	}
	cmd.Flags().StringVar(&view, "view", "", "also draw the commits and answers of one committed offset on this HTML page")
	return cmd
}

// A verdictReport is a verdict for programs. Durations are in milliseconds.
type verdictReport struct {
	Seed uint64 `json:"seed,omitempty"`
	// TransactionVersion is the finalized level of that feature, where brokers were asked.
	TransactionVersion *int16 `json:"transaction_version,omitempty"`

	Verdict    string           `json:"verdict"` // passed, failed or inconclusive
	Anomalies  map[string]int   `json:"anomalies"`
	Found      []verify.Anomaly `json:"found"`   // the first of each
	Allowed    []verify.Anomaly `json:"allowed"` // cycles that Kafka does not promise to prevent, the first of each
	Missed     []string         `json:"missed"`
	Skipped    []string         `json:"skipped"` // faults
	Figures    verify.Figures   `json:"figures"`
	RecoveryMs int64            `json:"recovery_ms"`
	Replicas   *replicaReport   `json:"replicas,omitempty"`
	Folder     string           `json:"folder,omitempty"`  // of the brokers, their logs and the history
	History    string           `json:"history,omitempty"` // file
}

// shownOfEach is how many anomalies of each name are printed.
const shownOfEach = 5

func newVerdictReport(v verify.Verdict) verdictReport {
	r := verdictReport{Verdict: "passed", Anomalies: map[string]int{}, Found: []verify.Anomaly{}, Allowed: []verify.Anomaly{}, Missed: v.Missed, Figures: v.Figures, RecoveryMs: v.Figures.Recovery.Milliseconds()}
	for _, one := range v.Anomalies {
		if r.Anomalies[one.Name]++; r.Anomalies[one.Name] <= shownOfEach {
			r.Found = append(r.Found, one)
		}
	}
	told := map[string]bool{}
	for _, one := range v.Allowed {
		if !told[one.Name] {
			r.Allowed = append(r.Allowed, one)
		}
		told[one.Name] = true
	}
	switch {
	case len(v.Anomalies) > 0:
		r.Verdict = "failed"
	case len(v.Missed) > 0:
		r.Verdict = "inconclusive"
	}
	return r
}

// verdict prints a verdict, and fails when it is not a pass. more adds to the
// report.
func (a *app) verdict(v verify.Verdict, more func(*verdictReport)) error {
	r := newVerdictReport(v)
	if more != nil {
		more(&r)
	}
	if a.format == "json" {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		a.printVerdict(r)
	}
	switch r.Verdict {
	case "failed":
		return failed(exitFailed, "%d anomalies: a promise was broken", len(v.Anomalies))
	case "inconclusive":
		return failed(exitIncomplete, "the run did too little to prove anything: %s", strings.Join(r.Missed, "; "))
	}
	return nil
}

// meaning says what a transaction.version means for requests that come late.
func meaning(level int16) string {
	if level >= 2 {
		return ", every transaction has an epoch of its own: what comes late is refused (KIP-890)"
	}
	return ", the transactions of a producer share an epoch: what comes late acts on the next one (KIP-890)"
}

func (a *app) printVerdict(r verdictReport) {
	f := r.Figures
	if v := r.TransactionVersion; v != nil {
		fmt.Fprintf(a.out, "target     transaction.version %d%s\n", *v, meaning(*v))
	}
	fmt.Fprintf(a.out, "done       %v, %d events, %d rounds\n", f.Took.Round(time.Second), f.Events, f.Rounds)
	fmt.Fprintf(a.out, "records    %d acknowledged, %d given up, %d read while following, %d through the pipeline\n", f.Acked, f.Failed, f.Read, f.Transformed)
	fmt.Fprintf(a.out, "txns       %d committed, %d aborted, %d of which nobody was told\n", f.Committed, f.Aborted, f.Unsure)
	fmt.Fprintf(a.out, "groups     %d commits; %d producer ids granted\n", f.Positions, f.Grants)
	if f.Transfers+f.Polled > 0 {
		fmt.Fprintf(a.out, "mixed      %d transfers, %d records read in transactions\n", f.Transfers, f.Polled)
	}
	var done []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		done = append(done, fmt.Sprintf("%s %d", name, f.Faults[name]))
		total += f.Faults[name]
	}
	if total > 0 {
		fmt.Fprintf(a.out, "faults     %d, with %d kills: %s\n", total, f.Kills, strings.Join(done, ", "))
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(a.out, "skipped    %s: the brokers do not offer it\n", strings.Join(r.Skipped, ", "))
	}
	fmt.Fprintf(a.out, "clients    %d killed, %d zombies, %d late copies of requests, %d lost answers, %d connections cut\n", f.ClientKills, f.Zombies, f.LateCopies, f.LostAnswers, f.Cuts)
	if total > 0 {
		fmt.Fprintf(a.out, "recovery   %v at most from everything well to the next acknowledgement, %v to that of the last partition\n",
			f.Recovery.Round(time.Millisecond), f.RecoveryOfEach.Round(time.Millisecond))
	}
	if c := r.Replicas; c != nil {
		fmt.Fprintf(a.out, "replicas   %d partitions, %d entries and %d records compared, %d ended alike on all brokers; %d were given their leader's boundary meanwhile\n",
			c.Partitions, c.Entries, c.Records, c.Settled, c.Installed)
	}
	for _, one := range r.Allowed {
		fmt.Fprintf(a.out, "allowed    %s: %s\n", one.Name, one.Detail)
	}
	for _, missed := range r.Missed {
		fmt.Fprintf(a.out, "missed     %s\n", missed)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Anomalies)) {
		fmt.Fprintf(a.out, "anomaly    %s: %d times\n", name, r.Anomalies[name])
	}
	for _, one := range r.Found {
		fmt.Fprintf(a.out, "  %s\n", one)
	}
	if len(r.Anomalies) == 0 {
		fmt.Fprintln(a.out, "anomalies  0")
	}
	if r.Folder != "" {
		fmt.Fprintf(a.out, "folder     %s\n", r.Folder)
	}
	if r.History != "" {
		fmt.Fprintf(a.out, "history    %s\n", r.History)
	}
}
