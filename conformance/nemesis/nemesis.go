package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/conformance/verify"
)

// Check says whether all of these are names of faults.
func Check(names []string) error {
	_, err := choose(names)
	return err
}

// What clients have to achieve between two faults, so that each meets load.
const (
	RoundAcked = 60
	RoundEnded = 8
)

// How long things may take once everything is well.
const (
	serving        = 30 * time.Second // until a broker that was started serves
	recovery       = 10 * time.Second // until a record is acknowledged
	recoveryOfEach = 30 * time.Second // until one is in each partition
	progress       = 70 * time.Second // until clients achieved what a round demands; the judge's patience is shorter
)

// Options of a nemesis.
type Options struct {
	Seed   uint64        // of which faults there are, in which order
	For    time.Duration // how long it goes on
	Faults []string      // names; none: Usual
	Say    func(format string, args ...any)
	Calm   func() // called when all faults are done, so that nothing happens to clients either
}

// A Nemesis does faults to a cluster under load, one after the other.
type Nemesis struct {
	cluster  Cluster
	recorder *verify.Recorder
	targets  verify.Targets
	client   *kgo.Client
	random   *rand.Rand
	say      func(format string, args ...any)
	name     string // of the fault that is being done
	added    int32  // the broker that was added, 0: none
	skipped  map[string]bool
}

// Run does faults for as long as the options say, and leaves the cluster well.
// It returns how many rounds there were, and which of the faults the brokers
// know nothing of. An error is one of
// the cluster's or of the clients' that made no progress, not an anomaly.
func Run(ctx context.Context, c Cluster, r *verify.Recorder, targets verify.Targets, o Options) (rounds int, skipped []string, err error) {
	client, err := newClient(c.Bootstrap())
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	n := &Nemesis{
		cluster: c, recorder: r, targets: targets, client: client, say: o.Say, skipped: map[string]bool{},
		random: rand.New(rand.NewPCG(o.Seed, 1)),
	}
	chosen, err := choose(o.Faults)
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	for round := 0; time.Since(began) < o.For || round < len(chosen); round++ {
		if round%len(chosen) == 0 {
			n.random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		}
		f := chosen[round%len(chosen)]
		if n.skipped[f.name] {
			continue
		}
		rounds++
		err := n.round(ctx, round, f)
		if errors.Is(err, errNotOffered) {
			n.skipped[f.name] = true
			n.say("     %s is skipped: %v", f.name, err)
			continue
		}
		if err != nil {
			return rounds, nil, fmt.Errorf("round %d, %s: %w", round, f.name, err)
		}
	}
	o.Calm()
	n.recorder.Add(verify.Event{Kind: verify.Round})
	err = n.await(ctx, true)
	for name := range n.skipped {
		skipped = append(skipped, name)
	}
	return rounds, skipped, err
}

// choose finds faults by their names; none are the usual ones.
func choose(names []string) ([]fault, error) {
	if len(names) == 0 {
		names = Usual()
	}
	var chosen []fault
	for _, name := range names {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no fault is called %q: want some of %v", name, Names())
		}
		chosen = append(chosen, faults[i])
	}
	return chosen, nil
}

// round waits for load, does one fault, and has everything well again.
func (n *Nemesis) round(ctx context.Context, number int, f fault) error {
	began := time.Now()
	n.recorder.Add(verify.Event{Kind: verify.Round})
	if err := n.await(ctx, false); err != nil {
		return err
	}
	worked := time.Since(began)
	n.name = f.name
	if err := f.do(n, ctx); err != nil {
		return err
	}
	if err := n.heal(ctx); err != nil {
		return err
	}
	n.say("%3d  loaded %-6v  done and well again %v", number, worked.Round(10*time.Millisecond), (time.Since(began) - worked).Round(10*time.Millisecond))
	return nil
}

// await waits until clients were told enough that is new, something of each
// partition, and then for a moment that nothing leads up to. In the end it waits for
// pipelines too: their groups take their time to notice that a member is gone.
func (n *Nemesis) await(ctx context.Context, last bool) error {
	before, more := n.recorder.Tally(), n.random.IntN(1000)
	waiting, cancel := context.WithTimeout(ctx, progress)
	defer cancel()
	err := n.recorder.Await(waiting, func(t verify.Tally) bool {
		return t.Acked >= before.Acked+RoundAcked && t.Ended >= before.Ended+RoundEnded && t.Events >= before.Events+more &&
			t.Waiting == 0 && (!last || t.Piped == 0)
	})
	if err != nil && ctx.Err() == nil {
		now := n.recorder.Tally()
		return fmt.Errorf("only %d acknowledged records and %d ended transactions in %v with all brokers well, want %d and %d; nothing acknowledged in %d partitions of producers and %d of pipelines",
			now.Acked-before.Acked, now.Ended-before.Ended, progress, RoundAcked, RoundEnded, now.Waiting, now.Piped)
	}
	return err
}

// victim picks whom the fault meets, and says so.
func (n *Nemesis) victim(ctx context.Context, who role) (int32, error) {
	node, err := n.find(ctx, who)
	if err != nil {
		return 0, err
	}
	n.aimed(fmt.Sprintf("broker %d", node))
	return node, nil
}

// aimed notes that the fault begins.
func (n *Nemesis) aimed(whom string) {
	n.recorder.Add(verify.Event{Kind: verify.Fault, Value: n.name, Process: whom})
	n.say("     %s: %s", n.name, whom)
}

func (n *Nemesis) kill(node int32) error {
	if err := n.cluster.Kill(node); err != nil {
		return err
	}
	n.recorder.Add(verify.Event{Kind: verify.Kill, Process: fmt.Sprintf("broker %d", node)})
	return nil
}

// heal undoes cuts and starts whoever has ended.
func (n *Nemesis) heal(ctx context.Context) error {
	if err := n.cluster.Heal(); err != nil {
		return err
	}
	var ended []int32
	for _, node := range n.cluster.Nodes() {
		if n.cluster.Ended(node) {
			ended = append(ended, node)
		}
	}
	if err := n.revive(ctx, ended...); err != nil {
		return err
	}
	n.recorder.Add(verify.Event{Kind: verify.Healed, Within: recovery, Each: recoveryOfEach})
	return nil
}

// revive starts brokers and waits until they serve.
func (n *Nemesis) revive(ctx context.Context, nodes ...int32) error {
	for _, node := range nodes {
		if err := n.cluster.Start(node); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, serving)
	defer cancel()
	for _, node := range nodes {
		if err := n.cluster.AwaitServing(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// others lists the brokers but one.
func (n *Nemesis) others(node int32) []int32 {
	return slices.DeleteFunc(slices.Clone(n.cluster.Nodes()), func(other int32) bool { return other == node })
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }
