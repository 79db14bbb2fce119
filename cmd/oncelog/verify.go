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
	cmd := &cobra.Command{Use: "verify", Short: "Break a cluster on purpose, and judge what its clients were told"}
	a.formatFlag(cmd)
	cmd.AddCommand(a.verifyChaos(), a.verifyAcks(), a.verifyCheck())
	return cmd
}

func (a *app) verifyCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Judge a history that was saved, once more", Args: exactly("FILE"),
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
			return a.verdict(verify.Judge(history, verify.Floors{}), nil)
		},
	}
}

// A verdictReport is a verdict for programs. Durations are in milliseconds.
type verdictReport struct {
	Seed       uint64           `json:"seed,omitempty"`
	Verdict    string           `json:"verdict"` // passed, failed or inconclusive
	Anomalies  map[string]int   `json:"anomalies"`
	Found      []verify.Anomaly `json:"found"` // the first of each
	Missed     []string         `json:"missed"`
	Skipped    []string         `json:"skipped"` // faults
	Figures    verify.Figures   `json:"figures"`
	RecoveryMs int64            `json:"recovery_ms"`
	Replicas   *replicaReport   `json:"replicas,omitempty"`
	Folder     string           `json:"folder,omitempty"` // of the brokers, their logs and the history
}

// shownOfEach is how many anomalies of each name are printed.
const shownOfEach = 5

func newVerdictReport(v verify.Verdict) verdictReport {
	r := verdictReport{Verdict: "passed", Anomalies: map[string]int{}, Found: []verify.Anomaly{}, Missed: v.Missed, Figures: v.Figures, RecoveryMs: v.Figures.Recovery.Milliseconds()}
	for _, one := range v.Anomalies {
		if r.Anomalies[one.Name]++; r.Anomalies[one.Name] <= shownOfEach {
			r.Found = append(r.Found, one)
		}
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

func (a *app) printVerdict(r verdictReport) {
	f := r.Figures
	fmt.Fprintf(a.out, "done       %v, %d events, %d rounds\n", f.Took.Round(time.Second), f.Events, f.Rounds)
	fmt.Fprintf(a.out, "records    %d acknowledged, %d given up, %d read while following, %d through the pipeline\n", f.Acked, f.Failed, f.Read, f.Transformed)
	fmt.Fprintf(a.out, "txns       %d committed, %d aborted, %d of which nobody was told\n", f.Committed, f.Aborted, f.Unsure)
	fmt.Fprintf(a.out, "groups     %d commits; %d producer ids granted\n", f.Positions, f.Grants)
	var done []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		done = append(done, fmt.Sprintf("%s %d", name, f.Faults[name]))
		total += f.Faults[name]
	}
	fmt.Fprintf(a.out, "faults     %d, with %d kills: %s\n", total, f.Kills, strings.Join(done, ", "))
	if len(r.Skipped) > 0 {
		fmt.Fprintf(a.out, "skipped    %s: the brokers do not offer it\n", strings.Join(r.Skipped, ", "))
	}
	fmt.Fprintf(a.out, "clients    %d killed, %d zombies, %d late copies of requests, %d lost answers\n", f.ClientKills, f.Zombies, f.LateCopies, f.LostAnswers)
	fmt.Fprintf(a.out, "recovery   %v at most from everything well to the next acknowledgement, %v to that of the last partition\n",
		f.Recovery.Round(time.Millisecond), f.RecoveryOfEach.Round(time.Millisecond))
	if c := r.Replicas; c != nil {
		fmt.Fprintf(a.out, "replicas   %d partitions, %d entries and %d records compared, %d ended alike on all brokers; %d were given their leader's boundary meanwhile\n",
			c.Partitions, c.Entries, c.Records, c.Settled, c.Installed)
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
}
