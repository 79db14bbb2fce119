package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// memberPatience bounds how long brokers take to come or go while another is
// killed: it is asked for again and again, as operators do.
const memberPatience = 90 * time.Second

// members adds a broker to those that began the cluster or, if one was added,
// moves its replicas elsewhere and takes it off. Somebody is killed meanwhile.
func (n *Nemesis) members(ctx context.Context) error {
	if n.added != 0 {
		n.name = removeBroker
		n.aimed(fmt.Sprintf("broker %d", n.added))
		if err := n.amid(ctx, func(ctx context.Context) error { return n.cluster.Remove(ctx, n.added) }); err != nil {
			return fmt.Errorf("remove broker %d: %w", n.added, err)
		}
		n.added = 0
		return nil
	}
	n.name = addBroker
	n.aimed("a new one")
	var added int32
	err := n.amid(ctx, func(ctx context.Context) (err error) {
		added, err = n.cluster.Add(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("add a broker: %w", err)
	}
	n.added = added
	n.name = reassign
	return n.reassign(ctx)
}

// amid does something, again and again until it succeeds, while one of the brokers
// that began the cluster is killed and started.
func (n *Nemesis) amid(ctx context.Context, do func(context.Context) error) error {
	victim, first, then := pick(n.random, n.founders()), n.shortly(), n.shortly()
	ctx, cancel := context.WithTimeout(ctx, memberPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- n.againWithin(ctx, do) }()
	err := errors.Join(hold(ctx, first), n.kill(victim), hold(ctx, then), n.revive(ctx, victim))
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-done)
}

// founders are the brokers that began the cluster: the links between them can be cut.
func (n *Nemesis) founders() []int32 {
	return slices.DeleteFunc(slices.Clone(n.cluster.Nodes()), func(node int32) bool { return node == n.added })
}

// linked lists the other founders.
func (n *Nemesis) linked(node int32) []int32 {
	return slices.DeleteFunc(n.founders(), func(other int32) bool { return other == node })
}

// linkedVictim is victim among those whose links can be cut.
func (n *Nemesis) linkedVictim(ctx context.Context, who role) (int32, error) {
	node, err := n.find(ctx, who)
	if err != nil {
		return 0, err
	}
	if node == n.added {
		node = pick(n.random, n.founders())
	}
	n.aimed(fmt.Sprintf("broker %d", node))
	return node, nil
}
