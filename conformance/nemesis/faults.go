package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A fault is one thing that happens to a cluster. What it did and left so is
// undone when it returns.
type fault struct {
	name string
	do   func(*Nemesis, context.Context) error
}

// faults are all that there are. Their names stand in histories and reports.
var faults = []fault{
	{"kill-leader", kill(leader)},
	{"kill-follower", kill(follower)},
	{"kill-coordinator", kill(coordinator)},
	{"kill-controller", kill(controller)},
	{"kill-twice", (*Nemesis).killTwice},
	{"kill-majority", (*Nemesis).killMajority},
	{"kill-all", (*Nemesis).killAll},
	{"pause-leader", pause(leader)},
	{"pause-coordinator", pause(coordinator)},
	{"isolate-leader", part(leader, true, true)},
	{"isolate-coordinator", part(coordinator, true, true)},
	{"mute-leader", part(leader, true, false)},
	{"deafen-leader", part(leader, false, true)},
	{"cut-two", (*Nemesis).cutTwo},
	{"slow-links", (*Nemesis).slowLinks},
	{"rolling-restart", (*Nemesis).rollingRestart},
	{"elect-leaders", (*Nemesis).electLeaders},
	{reassign, (*Nemesis).reassign},
	{addBroker, (*Nemesis).members},
	{removeBroker, (*Nemesis).members},
}

// The names of what is done only where it is asked for: it takes its time.
const addBroker, removeBroker = "add-broker", "remove-broker"

// A broker that came is given replicas at once, which is a fault of its own.
const reassign = "reassign"

// Usual lists the faults that are done unless others are chosen.
func Usual() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return name == addBroker || name == removeBroker })
}

// Moves lists, for a run about moving partitions and brokers that come and go,
// what is done in a cycle: between two changes somebody is killed.
func Moves() []string {
	return []string{
		addBroker, removeBroker, reassign, reassign, reassign, reassign, "elect-leaders", "elect-leaders",
		"kill-leader", "kill-follower", "kill-controller", "kill-coordinator", "kill-twice", "kill-majority", "isolate-leader", "pause-leader", "rolling-restart",
	}
}

// Names lists the faults.
func Names() (all []string) {
	for _, f := range faults {
		all = append(all, f.name)
	}
	return all
}

// shortly is a while in which clients notice, and a leader may or may not be
// replaced. lastingly is one in which it is: nodes give each other up after a
// second.
func (n *Nemesis) shortly() time.Duration { return time.Duration(n.random.Int64N(int64(time.Second))) }
func (n *Nemesis) lastingly() time.Duration {
	return 1500*time.Millisecond + time.Duration(n.random.Int64N(int64(2*time.Second)))
}

// awhile is either.
func (n *Nemesis) awhile() time.Duration {
	if n.random.IntN(3) == 0 {
		return n.shortly()
	}
	return n.lastingly()
}

// hold lets time pass in which the fault lasts.
func hold(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func kill(who role) func(*Nemesis, context.Context) error {
	return func(n *Nemesis, ctx context.Context) error {
		node, err := n.victim(ctx, who)
		if err != nil {
			return err
		}
		return errors.Join(n.kill(node), hold(ctx, n.shortly()))
	}
}

// killTwice kills a broker, and again while it starts.
func (n *Nemesis) killTwice(ctx context.Context) error {
	node, err := n.victim(ctx, anybody)
	if err != nil {
		return err
	}
	return errors.Join(n.kill(node), n.cluster.Start(node), hold(ctx, n.shortly()/4), n.kill(node))
}

func (n *Nemesis) killMajority(ctx context.Context) error {
	node, err := n.victim(ctx, leader)
	if err != nil {
		return err
	}
	other := pick(n.random, n.others(node))
	return errors.Join(n.kill(node), n.kill(other), hold(ctx, n.awhile()))
}

func (n *Nemesis) killAll(ctx context.Context) error {
	nodes := n.cluster.Nodes()
	n.aimed("all")
	var errs []error
	for _, i := range n.random.Perm(len(nodes)) {
		errs = append(errs, n.kill(nodes[i]))
	}
	return errors.Join(append(errs, hold(ctx, n.shortly()))...)
}

// pause stops a process for long enough that others take its place, and lets it
// go on with all that it believed.
func pause(who role) func(*Nemesis, context.Context) error {
	return func(n *Nemesis, ctx context.Context) error {
		node, err := n.victim(ctx, who)
		if err != nil {
			return err
		}
		if err := n.cluster.Pause(node); err != nil {
			return err
		}
		return errors.Join(hold(ctx, n.awhile()), n.cluster.Resume(node))
	}
}

// part holds what a broker sends to the others, what they send to it, or both.
func part(who role, out, in bool) func(*Nemesis, context.Context) error {
	return func(n *Nemesis, ctx context.Context) error {
		node, err := n.linkedVictim(ctx, who)
		if err != nil {
			return err
		}
		var errs []error
		for _, other := range n.linked(node) {
			if out {
				errs = append(errs, n.cluster.Cut(node, other))
			}
			if in {
				errs = append(errs, n.cluster.Cut(other, node))
			}
		}
		return errors.Join(append(errs, hold(ctx, n.awhile()))...)
	}
}

// cutTwo parts two brokers that both reach the third.
func (n *Nemesis) cutTwo(ctx context.Context) error {
	node, err := n.linkedVictim(ctx, leader)
	if err != nil {
		return err
	}
	other := pick(n.random, n.linked(node))
	return errors.Join(n.cluster.Cut(node, other), n.cluster.Cut(other, node), hold(ctx, n.lastingly()))
}

// slowLinks delays all that brokers send each other, each link by its own.
func (n *Nemesis) slowLinks(ctx context.Context) error {
	n.aimed("all")
	var errs []error
	for _, from := range n.founders() {
		for _, to := range n.linked(from) {
			errs = append(errs, n.cluster.Slow(from, to, time.Duration(n.random.Int64N(int64(100*time.Millisecond)))))
		}
	}
	return errors.Join(append(errs, hold(ctx, n.lastingly()))...)
}

// rollingRestart asks one broker after the other to end, as an upgrade does.
func (n *Nemesis) rollingRestart(ctx context.Context) error {
	n.aimed("all")
	for _, node := range n.cluster.Nodes() {
		if err := n.cluster.Terminate(node); err != nil {
			return err
		}
		if err := n.revive(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// electLeaders has the preferred replicas lead again, so leaders that are well
// are replaced.
func (n *Nemesis) electLeaders(ctx context.Context) error {
	if err := n.elect(ctx); err != nil {
		return fmt.Errorf("elect preferred leaders: %w", err)
	}
	n.aimed("all")
	return nil
}

// movedAtOnce bounds the partitions of one reassignment.
const movedAtOnce = 8

// reassign takes a replica from a few partitions of any topic, and then, whether
// that has come to its end or not, gives them all three on other brokers.
func (n *Nemesis) reassign(ctx context.Context) error {
	if err := n.offered(ctx, kmsg.AlterPartitionAssignments); err != nil {
		return err
	}
	meta, err := kadm.NewClient(n.client).Metadata(ctx)
	if err != nil {
		return err
	}
	var moved []kadm.PartitionDetail
	for _, topic := range meta.Topics.Sorted() {
		moved = append(moved, topic.Partitions.Sorted()...)
	}
	n.random.Shuffle(len(moved), func(i, j int) { moved[i], moved[j] = moved[j], moved[i] })
	moved = moved[:min(len(moved), movedAtOnce)]
	all := n.cluster.Nodes()
	some := func(count int) func() []int32 {
		return func() (on []int32) {
			for _, i := range n.random.Perm(len(all))[:count] {
				on = append(on, all[i])
			}
			return on
		}
	}
	const replicas = 3
	n.aimed(fmt.Sprintf("%d partitions over %d brokers", len(moved), len(all)))
	return errors.Join(n.place(ctx, moved, some(replicas-1)), hold(ctx, n.awhile()), n.place(ctx, moved, some(replicas)))
}
