package main

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Add starts a broker that joins the others, with the configuration that cluster
// add prints, or once more one that did not come to serve. A broker that was
// removed comes back as the same one, with all that its folder holds.
func (c *children) Add(ctx context.Context) (int32, error) {
	one, err := c.joiner(ctx)
	if err != nil {
		return 0, err
	}
	if c.Ended(one.id) {
		if err := c.Start(one.id); err != nil {
			return 0, err
		}
	}
	return one.id, one.awaitServing(ctx)
}

// joiner is the child that was added, or a new one.
func (c *children) joiner(ctx context.Context) (*child, error) {
	all := c.list()
	founders := len(c.mesh.Nodes())
	if len(all) > founders {
		return all[founders], nil
	}
	id := int32(founders + 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap()...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	j := joining{host: "localhost", dir: c.dir, id: id, port: 1} // the ports are chosen below
	own, err := j.properties(ctx, client)
	if err != nil {
		return nil, err
	}
	delete(own, "advertised.listeners")
	delete(own, "cluster.id") // which the children have in common
	p, err := c.free()
	if err != nil {
		return nil, err
	}
	one := c.newborn(id, p, own)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
	return one, nil
}

// Remove does what cluster remove --drain does, and ends the process.
func (c *children) Remove(ctx context.Context, node int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap()...))
	if err != nil {
		return err
	}
	defer client.Close()
	r := removal{app: c.app, client: client, admin: kadm.NewClient(client), id: node}
	if _, err := r.take(ctx, true); err != nil {
		return err
	}
	if !c.Ended(node) {
		if err := c.Terminate(node); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(one *child) bool { return one.id == node })
	return nil
}
