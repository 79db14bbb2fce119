package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/conformance/verify"
)

// runFlags are the flags of verify run.
type runFlags struct {
	brokers   []string
	remote    bool
	time      time.Duration
	seed      uint64
	workloads []string
	history   string
	view      string
	keep      bool
	settle    time.Duration
	tolerate  []string
	verify.Mishaps
}

func (a *app) verifyRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Load any broker with clients to which mishaps happen, and judge what they were told",
		Long: `Load a broker, of whatever make, with idempotent and transactional clients. They are
killed, stopped until another has taken their place, and cut off; answers to them
get lost, and requests of theirs arrive a second time, late. Nothing is done to the
broker itself. In the end all that the clients were told is compared with all that is
left in the logs.

Workloads: append (transactions over several partitions, with offsets and reads in
them), bank (transfers between accounts), etl (consume, transform and produce in
transactions), idem (idempotent producers), fence (two instances of a transactional
id), abort (nearly all is aborted or left), churn (group members come and go).

Exit 0: no promise was broken. 1: one was, and the history stays. 2: the command line
is wrong. 3: no broker answered. 4: too little was done to prove anything.`,
		Example: "  oncelog verify run -b localhost:9092 --for 60s\n  oncelog verify run --workload bank,fence --late 0.3 --history h.jsonl\n  oncelog verify check h.jsonl --view offsets.html",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.verifyBroker(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.brokers, "brokers", "b", []string{"localhost:9092"}, "the target, host:port")
	flags.BoolVar(&f.remote, "yes-this-cluster", false, "load a target that is not on this machine")
	flags.DurationVar(&f.time, "for", time.Minute, "how long the clients work")
	flags.Uint64Var(&f.seed, "seed", 0, "of what clients do and what happens to them; 0 takes one of its own, which is printed")
	flags.StringSliceVarP(&f.workloads, "workload", "w", verify.Workloads(), "what the clients do (repeat, or with commas)")
	flags.DurationVar(&f.Lifetime, "lifetime", 8*time.Second, "of a client, about, until it is killed wherever it is; 0: none is")
	flags.Float64Var(&f.Zombies, "zombies", 0.02, "share of the transactions that are frozen until another client has their transactional id, and then go on")
	flags.Float64Var(&f.Late, "late", 0.05, "share of a producer's requests that arrive a second time, up to 4 s later, by another connection")
	flags.Float64Var(&f.Lost, "lost", 0.005, "share of them whose answer is lost")
	flags.Float64Var(&f.Cut, "cut", 0.005, "share of them in whose middle the connection is cut")
	flags.DurationVar(&f.settle, "settle", chaosSettle, "how long after its timeout a transaction may be open whose client left; Apache Kafka looks every 10 s")
	flags.StringSliceVar(&f.tolerate, "tolerate", []string{"lso-above-hw"}, "anomalies that are told and fail nothing; Apache Kafka reads the last stable offset of an answer after its high watermark")
	flags.StringVar(&f.history, "history", "", "keep the history in this file, a line of JSON an event (docs/verify.md)")
	flags.StringVar(&f.view, "view", "", "also draw the commits and answers of one committed offset on this HTML page")
	flags.BoolVar(&f.keep, "keep", false, "keep the topics and groups of the run")
	return cmd
}

// check says what is wrong with the flags.
func (f *runFlags) check(ctx context.Context) error {
	if err := verify.CheckWorkloads(f.workloads); err != nil {
		return usage("--workload: %w", err)
	}
	for name, share := range map[string]float64{"zombies": f.Zombies, "late": f.Late, "lost": f.Lost, "cut": f.Cut} {
		if share < 0 || share > 1 {
			return usage("--%s is %v, want a share between 0 and 1", name, share)
		}
	}
	if f.time <= 0 || len(f.workloads) == 0 {
		return usage("--for is %v and there are %d workloads, want more than 0 of both", f.time, len(f.workloads))
	}
	for _, address := range f.brokers {
		if f.remote {
			break
		}
		if err := conformance.Local(ctx, address); err != nil {
			return usage("%w; --yes-this-cluster allows it", err)
		}
	}
	return nil
}

// runRound is how long a round is: in each of them enough has to be done. The first
// begins when clients get on, or after warmUp: a broker that is new makes its
// coordinators' topics first.
const (
	runRound = 10 * time.Second
	warmUp   = 30 * time.Second
	dialTime = 5 * time.Second // until a broker has taken a connection
)

// warm waits until as much was done as a round has to do. That it was not shows in the
// history.
func (f *runFlags) warm(ctx context.Context, recorder *verify.Recorder) {
	floors := verify.FloorsOf(f.workloads, verify.Mishaps{}, 1)
	ctx, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	_ = recorder.Await(ctx, func(t verify.Tally) bool { return t.Acked >= floors.Acked && t.Ended >= floors.Ended })
}

func (a *app) verifyBroker(ctx context.Context, f *runFlags) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	a.client.brokers = f.brokers // for the message that none answered
	for f.seed == 0 {
		f.seed = rand.Uint64()
	}
	say := a.progress()
	say("seed %d, workloads %s against %s", f.seed, strings.Join(f.workloads, ", "), strings.Join(f.brokers, ","))
	if err := reach(ctx, f.brokers); err != nil {
		return err
	}
	level, err := transactionVersion(ctx, f.brokers)
	if err != nil {
		return err
	}
	recorder := verify.NewRecorder()
	rounds, err := f.run(ctx, recorder, say)
	history := recorder.History()
	if rounds == 0 {
		return err // it never began
	}
	if ctx.Err() != nil && f.history != "" {
		err = errors.Join(err, writeFile(f.history, history.Write))
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err) // who leaves in the middle leaves no verdict
	}
	verdict := verify.Judge(history, verify.FloorsOf(f.workloads, f.Mishaps, rounds))
	if err == nil && len(verdict.Anomalies) > 0 && f.history == "" {
		f.history, err = historyName()
	}
	if f.history != "" {
		err = errors.Join(err, writeFile(f.history, history.Write))
	}
	if f.view != "" {
		err = errors.Join(err, writeView(f.view, history, say))
	}
	return errors.Join(err, a.verdict(verdict, func(r *verdictReport) { r.Seed, r.History, r.TransactionVersion = f.seed, f.history, &level }))
}

// run lets the clients work, and leaves nothing of theirs on the brokers.
func (f *runFlags) run(ctx context.Context, recorder *verify.Recorder, say func(string, ...any)) (rounds int, err error) {
	for _, name := range f.tolerate {
		recorder.Add(verify.Event{Kind: verify.Tolerate, Value: name})
	}
	recorder.Add(verify.Event{Kind: verify.Round})
	load, err := verify.Start(ctx, recorder, verify.Options{
		Brokers: f.brokers, TransactionTimeout: 2 * time.Second, Settle: f.settle, Seed: f.seed,
		Name: fmt.Sprintf("oncelog-verify-%x", f.seed), Workloads: f.workloads, Mishaps: f.Mishaps, Dial: (&net.Dialer{Timeout: dialTime}).DialContext,
	})
	if err != nil {
		return 0, err
	}
	f.warm(ctx, recorder)
	end := time.NewTimer(f.time)
	defer end.Stop()
	round := time.NewTicker(min(runRound, f.time))
	defer round.Stop()
	rounds = 1
	for working := true; working; {
		select {
		case <-ctx.Done():
			working = false
		case <-end.C:
			working = false
		case <-round.C:
			t := recorder.Tally()
			say("%d records acknowledged, %d transactions ended", t.Acked, t.Ended)
			if next := time.Duration(rounds+1) * runRound; next <= f.time {
				recorder.Add(verify.Event{Kind: verify.Round})
				rounds++
			}
		}
	}
	load.Calm()
	say("the clients leave, and all is read")
	err = load.Finish(ctx)
	if !f.keep {
		err = errors.Join(err, load.Remove(context.WithoutCancel(ctx)))
	}
	return rounds, err
}

// reach wants one of the brokers to take a connection. The clients of a load are too
// patient for a wrong address.
func reach(ctx context.Context, brokers []string) error {
	var failures []error
	for _, address := range brokers {
		conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// transactionVersion asks for the finalized level of transaction.version: from 2 on
// every transaction has an epoch of its own (KIP-890). 0: the brokers name none.
func transactionVersion(ctx context.Context, brokers []string) (int16, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RetryTimeout(dialTime))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	request := kmsg.NewPtrApiVersionsRequest()
	request.ClientSoftwareName, request.ClientSoftwareVersion = "oncelog", "verify"
	resp, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("ask for the features of %s: %w", strings.Join(brokers, ","), err)
	}
	for _, feature := range resp.FinalizedFeatures {
		if feature.Name == "transaction.version" {
			return feature.MaxVersionLevel, nil
		}
	}
	return 0, nil
}

// historyName makes a file for a history that shows something.
func historyName() (string, error) {
	file, err := os.CreateTemp("", "oncelog-verify-*.jsonl")
	if err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// writeView draws one committed offset.
func writeView(name string, history verify.History, say func(string, ...any)) error {
	return writeFile(name, func(w io.Writer) error {
		drawn, err := verify.ViewRegisters(w, history)
		if err == nil {
			say("%s draws %s", name, drawn)
		}
		return err
	})
}
