//go:build synctests

// Package sim_test runs a cluster of three brokers and its clients in a
// testing/synctest bubble, once for each seed: a network and disks in memory go
// wrong as the seed's plan says, and in the end all that the clients were told
// is judged and the replicas are compared.
//
// It needs the build tag synctests, with which franz-go's locks let virtual
// time pass: make sim.
package sim_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/conformance/verify"
)

var (
	seeds   = flag.Uint64("seeds", 300, "how many seeds TestSimulation runs")
	oneSeed = flag.Uint64("seed", 0, "the only seed that TestSimulation runs, and tells of")
)

// TestSimulation runs many seeds, or the one that is asked for.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), *seeds
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	var mu sync.Mutex
	var total verify.Figures
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed <= last; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				v := simulate(t, planOf(seed))
				mu.Lock()
				defer mu.Unlock()
				total = sum(total, v.Figures)
				if *oneSeed != 0 {
					t.Logf("%v\n%+v", planOf(seed), v.Figures)
				}
				report(t, seed, v)
			})
		}
	})
	n := int(last - first + 1)
	t.Logf("%d seeds in %v: %+v", n, time.Since(began).Round(time.Millisecond), total)
	if n == 1 {
		return
	}
	inconclusive(t, total, n, func() (busy int) {
		for seed := first; seed <= last; seed++ {
			if planOf(seed).mishaps != (verify.Mishaps{}) {
				busy++
			}
		}
		return busy
	}())
}

// inconclusive fails the test when so many seeds, of which busy ones have much
// happen to their clients, achieved too little to prove anything.
func inconclusive(t *testing.T, total verify.Figures, seeds, busy int) {
	t.Helper()
	for what, one := range map[string]struct{ got, want int }{
		"acknowledged records": {total.Acked, seeds}, "committed transactions": {total.Committed, seeds}, "aborted transactions": {total.Aborted, seeds},
		"records through a pipeline": {total.Transformed, seeds}, "faults": {total.Kills, seeds},
		"killed clients": {total.ClientKills, busy}, "late copies of requests": {total.LateCopies, busy}, "lost answers": {total.LostAnswers, busy},
		"zombies": {total.Zombies, busy / 2},
	} {
		if one.got < one.want {
			t.Errorf("inconclusive: %d %s in %d seeds, want %d at least", one.got, what, seeds, one.want)
		}
	}
}

// report fails the test with what a verdict found and how to see it again.
func report(t *testing.T, seed uint64, v verify.Verdict) {
	t.Helper()
	if len(v.Anomalies) == 0 {
		return
	}
	var names []string
	for _, a := range v.Anomalies {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	t.Errorf("seed %d found %s; again: make sim SEED=%d\n%v", seed, strings.Join(slices.Compact(names), ", "), seed, planOf(seed))
	for i, a := range v.Anomalies {
		if i == 10 {
			t.Errorf("and %d more", len(v.Anomalies)-i)
			break
		}
		t.Error(a)
	}
}

func sum(a, b verify.Figures) verify.Figures {
	a.Events, a.Rounds, a.Kills = a.Events+b.Events, a.Rounds+b.Rounds, a.Kills+b.Kills
	a.Acked, a.Failed, a.Committed, a.Aborted, a.Unsure = a.Acked+b.Acked, a.Failed+b.Failed, a.Committed+b.Committed, a.Aborted+b.Aborted, a.Unsure+b.Unsure
	a.Transformed, a.Read, a.Positions, a.Grants, a.Took = a.Transformed+b.Transformed, a.Read+b.Read, a.Positions+b.Positions, a.Grants+b.Grants, a.Took+b.Took
	a.ClientKills, a.Zombies, a.LateCopies, a.LostAnswers = a.ClientKills+b.ClientKills, a.Zombies+b.Zombies, a.LateCopies+b.LateCopies, a.LostAnswers+b.LostAnswers
	return a
}

// settleTries bounds how often it is asked whether all replicas are in sync,
// half a second apart: raft goes on with a replica that was away for long after
// some seconds only.
const settleTries = 60

// settle waits until all replicas have all there is.
func settle(ctx context.Context, c *brokertest.Cluster) (found []verify.Anomaly, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.Dialer(c.Network.Host(outside).Dial))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for range settleTries {
		time.Sleep(500 * time.Millisecond)
		meta, err := kadm.NewClient(client).Metadata(ctx)
		if err != nil {
			return nil, err
		}
		found = nil
		meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
			if len(p.ISR) < len(nodes) {
				found = append(found, anomaly("replica-behind", "%s-%d is led by %d in epoch %d, in sync are %v", p.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.ISR))
			}
		})
		if len(found) == 0 {
			break
		}
	}
	time.Sleep(2 * time.Second) // followers hear of the last commit within one
	return found, nil
}

// simulate runs one plan in a bubble and judges it. What went wrong otherwise is
// an anomaly too: broken.
func simulate(t *testing.T, p plan) (v verify.Verdict) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, len(nodes), p.options())
		r := verify.NewRecorder()
		r.Add(verify.Event{Kind: verify.Round})
		n := &nemesis{c, r}
		n.quick()
		var found []verify.Anomaly
		wants := func(what string, err error) {
			if err != nil {
				found = append(found, anomaly("broken", "%s: %v", what, err))
			}
		}
		load, err := verify.Start(t.Context(), r, verify.Options{
			Brokers: c.Addresses(), TransactionTimeout: 2 * time.Second, Settle: 15 * time.Second, Seed: p.seed, Name: "sim",
			Dial: c.Network.Host(outside).Dial, Pace: 80, Mishaps: p.mishaps,
			Only: func(process string) bool { return slices.Contains(p.clients, process) },
		})
		if err != nil {
			t.Fatal(err)
		}
		tidied := p.tidy(t, c)
		time.Sleep(time.Second)
		wants("faults", n.run(t.Context(), p))
		time.Sleep(time.Second)
		alsoFound, err := tidied()
		wants("judge what was cleaned", err)
		wants("finish the load", load.Finish(t.Context()))
		v = verify.Judge(r.History(), verify.Floors{})
		behind, err := settle(t.Context(), c)
		wants("settle", err)
		different, err := compareReplicas(c)
		wants("compare", err)
		v.Anomalies = slices.Concat(v.Anomalies, alsoFound, behind, different, found)
	})
	return v
}

// options are those of a plan's brokers.
func (p plan) options() brokertest.Options {
	o := brokertest.Options{
		Properties: map[string]string{"log.cleaner.backoff.ms": "500", "log.retention.check.interval.ms": "1000"},
		Logger:     slog.New(slog.DiscardHandler),
	}
	if *oneSeed != 0 && testing.Verbose() {
		o.Logger = nil // the test's
	}
	if p.synced {
		o.Properties["oncelog.fsync"] = "always"
	}
	return o
}

// tidy has a tidier at work, if the plan holds one. What it returns ends the
// work and judges it.
func (p plan) tidy(t *testing.T, c *brokertest.Cluster) (judge func() ([]verify.Anomaly, error)) {
	t.Helper()
	if !p.tidies {
		return func() ([]verify.Anomaly, error) { return nil, nil }
	}
	options := []kgo.Opt{kgo.SeedBrokers(c.Addresses()...), kgo.Dialer(c.Network.Host(outside).Dial), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 200 * time.Millisecond }), kgo.RequestRetries(1000), kgo.ProducerLinger(0)}
	w, err := newTidier(t.Context(), p.seed, options...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { w.run(ctx) })
	return func() ([]verify.Anomaly, error) {
		stop()
		working.Wait()
		w.client.Close()
		return w.judge(t.Context(), options...)
	}
}
