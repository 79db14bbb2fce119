package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/oncelog/oncelog/conformance/nemesis"
	"github.com/oncelog/oncelog/conformance/verify"
)

// chaosFlags are the flags of verify chaos.
type chaosFlags struct {
	time   time.Duration
	seed   uint64
	dir    string
	keep   bool
	faults []string
	moves  bool

	transactors int           // beyond the load's own
	least       verify.Floors // what the caller demands
}

func (a *app) verifyChaos() *cobra.Command {
	var f chaosFlags
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Start three brokers, kill, stop and part them under load, and judge what clients were told",
		Long: `Start three brokers, each in a process of its own, put a load of idempotent and
transactional clients on them, and kill, stop, slow and part them meanwhile. Then
everything that the clients were told is compared with everything that is left, and,
once the brokers were asked to end, the replicas of each partition with each other.

Exit 0: no promise was broken. 1: one was; the folder with the brokers' data, their
logs and the history stays. 4: too little was done to prove anything.`,
		Example: "  oncelog verify chaos\n  oncelog verify chaos --for 10m --seed 7\n  oncelog verify chaos --fault kill-leader --fault isolate-leader\n  oncelog verify chaos --moves --for 3m",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.chaos(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.time, "for", time.Minute, "how long faults go on; every one comes once at least")
	flags.Uint64Var(&f.seed, "seed", 0, "of what clients and faults do; 0 takes one of its own, which is printed")
	flags.StringVar(&f.dir, "dir", "", "folder for the run (default: a temporary one)")
	flags.BoolVar(&f.keep, "keep", false, "keep the folder also when the run passes")
	flags.IntVar(&f.transactors, "transactors", 12, "how many transactional producers beyond the least")
	flags.IntVar(&f.least.Transactions, "min-txns", 0, "fewer ended transactions prove nothing (exit 4)")
	flags.IntVar(&f.least.AllFaults, "min-faults", 0, "likewise, fewer faults of brokers")
	flags.IntVar(&f.least.ClientKills, "min-client-kills", 0, "likewise, fewer killed clients")
	flags.IntVar(&f.least.Zombies, "min-zombies", 0, "likewise, fewer clients that came back when another had their transactional id")
	flags.IntVar(&f.least.LateCopies, "min-late-copies", 0, "likewise, fewer requests that came a second time, late")
	flags.BoolVar(&f.moves, "moves", false, "partitions move, leaders change, and a fourth broker comes and goes, with kills between")
	flags.StringSliceVar(&f.faults, "fault", nil, "do only these faults (repeat): "+fmt.Sprint(nemesis.Names()))
	return cmd
}

// chaosSettings have segments roll and coordinators' logs compacted all the
// time, so that faults meet that too.
var chaosSettings = map[string]string{
	rebalanceDelay: "0", "log.retention.check.interval.ms": "200", "log.roll.ms": "1000", "log.cleaner.backoff.ms": "50", "log.cleaner.min.cleanable.ratio": "0.01",
	"offsets.topic.num.partitions": "10", "transaction.state.log.num.partitions": "10",
}

// chaosSettle is how long after its timeout a transaction may be open whose client
// left. An election in that moment takes a second on a quiet machine.
const chaosSettle = 15 * time.Second

// chaosMishaps happen to clients meanwhile.
var chaosMishaps = verify.Mishaps{Lifetime: 8 * time.Second, Zombies: 0.02, Late: 0.05, Lost: 0.005}

func (a *app) chaos(ctx context.Context, f *chaosFlags) (err error) {
	if f.moves {
		f.faults = append(f.faults, nemesis.Moves()...)
	}
	if err := nemesis.Check(f.faults); err != nil {
		return &exitError{exitUsage, err}
	}
	for f.seed == 0 {
		f.seed = rand.Uint64()
	}
	if f.dir == "" {
		f.dir, err = os.MkdirTemp("", "oncelog-chaos-")
	} else {
		err = os.MkdirAll(f.dir, 0o700)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "seed %d, folder %s\n", f.seed, f.dir)
	recorder := verify.NewRecorder()
	rounds, skipped, err := a.chaosRun(ctx, f, recorder)
	history := recorder.History()
	if err != nil {
		return failed(exitFailed, "%w\nthe brokers' folders, their logs and the history are in %s", errors.Join(err, saveHistory(f.dir, history)), f.dir)
	}
	verdict := verify.Judge(history, f.floors(rounds, skipped))
	replicas, err := compareReplicas(ctx, f.dir)
	if err != nil {
		return failed(exitFailed, "compare the replicas: %w\nthe brokers' folders, their logs and the history are in %s", errors.Join(err, saveHistory(f.dir, history)), f.dir)
	}
	for _, d := range replicas.differences {
		verdict.Anomalies = append(verdict.Anomalies, verify.Anomaly{Name: "replicas-differ", Detail: d, Event: len(history)})
	}
	if len(f.faults) == 0 && replicas.Installed == 0 {
		verdict.Missed = append(verdict.Missed, "no follower was given its leader's boundary, want 1")
	}
	keep := f.keep || len(verdict.Anomalies) > 0
	if keep {
		err = saveHistory(f.dir, history)
	} else {
		err = os.RemoveAll(f.dir)
	}
	return errors.Join(err, a.verdict(verdict, func(r *verdictReport) {
		r.Seed, r.Skipped, r.Replicas = f.seed, skipped, &replicas
		if keep {
			r.Folder = f.dir
		}
	}))
}

// chaosRun does everything but judging. When it returns no broker runs.
func (a *app) chaosRun(ctx context.Context, f *chaosFlags, recorder *verify.Recorder) (rounds int, skipped []string, err error) {
	err = a.withBrokers(ctx, f.dir, chaosSettings, func(c *children) error {
		load, err := verify.Start(ctx, recorder, verify.Options{
			Brokers: c.Bootstrap(), TransactionTimeout: 2 * time.Second, Settle: chaosSettle, Seed: f.seed, Mishaps: chaosMishaps, Transactors: f.transactors, Shrinking: true,
		})
		if err != nil {
			return err
		}
		say := a.progress()
		rounds, skipped, err = nemesis.Run(ctx, c, recorder, load.Targets(), nemesis.Options{Seed: f.seed, For: f.time, Faults: f.faults, Say: say, Calm: load.Calm})
		say("the clients leave, and all is read")
		return errors.Join(err, load.Finish(ctx))
	})
	return rounds, skipped, err
}

// progress says what goes on, and when, on standard error.
func (a *app) progress() func(format string, args ...any) {
	began := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(a.err, "%6.1fs %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}

// withBrokers runs three brokers, each in a process of its own, while work runs.
// Their data and their logs lie in dir.
func (a *app) withBrokers(ctx context.Context, dir string, settings map[string]string, work func(*children) error) (err error) {
	f := devFlags{brokers: 3, headless: true, brokerFlags: brokerFlags{verbose: true}}
	properties := maps.Clone(settings)
	if err := f.setCommon(properties, dir); err != nil {
		return err
	}
	logs, err := logFiles(dir, f.brokers+1) // one more may be added
	if err != nil {
		return err
	}
	defer func() {
		for _, file := range logs {
			err = errors.Join(err, file.Close())
		}
	}()
	c, err := a.newChildren(&f, properties, dir, func(id int32) io.Writer { return logs[id] })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.startAll(ctx); err != nil {
		return err
	}
	return work(c)
}

// floors are what a run has to achieve: what the caller demands, enough in each
// round, and each fault at least once.
func (f *chaosFlags) floors(rounds int, skipped []string) verify.Floors {
	floors := f.least
	floors.Acked, floors.Ended = nemesis.RoundAcked, nemesis.RoundEnded
	floors.Committed, floors.Aborted, floors.Transformed = 5*rounds, rounds, 10*rounds
	floors.Read, floors.Positions, floors.Grants = 200*rounds, rounds, 5*rounds
	// What befalls clients comes by chance, so a few rounds may see none of it.
	floors.ClientKills, floors.Zombies, floors.LateCopies = max(floors.ClientKills, rounds/4), max(floors.Zombies, rounds/10), max(floors.LateCopies, rounds)
	floors.Faults = map[string]int{}
	names := f.faults
	if len(names) == 0 {
		names = nemesis.Usual()
	}
	for _, name := range names {
		floors.Faults[name] = 1
	}
	for _, name := range skipped {
		delete(floors.Faults, name)
	}
	return floors
}

// logFiles opens a file for each broker's log.
func logFiles(dir string, brokers int) (map[int32]*os.File, error) {
	files := make(map[int32]*os.File)
	for i := range brokers {
		id := int32(i + 1)
		file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%d.log", id)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("the log of broker %d: %w", id, err)
		}
		files[id] = file
	}
	return files, nil
}

func saveHistory(dir string, history verify.History) error {
	file, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return err
	}
	return errors.Join(history.Write(file), file.Close())
}
