package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// aimPatience bounds how long a nemesis looks for a victim.
const aimPatience = 20 * time.Second

// A role is what a broker is to the load when it becomes the victim.
type role string

const (
	leader      role = "leader"      // of one of the load's partitions
	follower    role = "follower"    // of one
	coordinator role = "coordinator" // of a group or of transactions
	controller  role = "controller"
	anybody     role = "broker"
)

// find picks a broker that has a role now.
func (n *Nemesis) find(ctx context.Context, who role) (node int32, err error) {
	err = n.again(ctx, func(ctx context.Context) (err error) { // there is none while leaders are elected
		node, err = n.findNow(ctx, who)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find a %s: %w", who, err)
	}
	return node, nil
}

func (n *Nemesis) findNow(ctx context.Context, who role) (int32, error) {
	if who == anybody {
		return pick(n.random, n.cluster.Nodes()), nil
	}
	if who == coordinator {
		return n.findCoordinator(ctx)
	}
	meta, err := kadm.NewClient(n.client).Metadata(ctx, n.targets.Topics...)
	if err != nil {
		return 0, err
	}
	if who == controller {
		if meta.Controller < 0 {
			return 0, errors.New("the cluster has no controller")
		}
		return meta.Controller, nil
	}
	topic := meta.Topics[pick(n.random, n.targets.Topics)]
	partitions := topic.Partitions.Sorted()
	if topic.Err != nil || len(partitions) == 0 {
		return 0, fmt.Errorf("topic %s: %w", topic.Topic, topic.Err)
	}
	p := pick(n.random, partitions)
	if p.Leader < 0 {
		return 0, fmt.Errorf("%s-%d has no leader", p.Topic, p.Partition)
	}
	if who == leader {
		return p.Leader, nil
	}
	for _, i := range n.random.Perm(len(p.Replicas)) {
		if p.Replicas[i] != p.Leader {
			return p.Replicas[i], nil
		}
	}
	return 0, fmt.Errorf("%s-%d has no follower", p.Topic, p.Partition)
}

func (n *Nemesis) findCoordinator(ctx context.Context) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	if n.random.IntN(2) == 0 {
		req.CoordinatorKey = pick(n.random, n.targets.Groups)
	} else {
		req.CoordinatorType, req.CoordinatorKey = 1, pick(n.random, n.targets.TransactionalIDs)
	}
	req.CoordinatorKeys = []string{req.CoordinatorKey}
	resp, err := req.RequestWith(ctx, n.client)
	if err != nil {
		return 0, err
	}
	if len(resp.Coordinators) == 1 {
		c := resp.Coordinators[0]
		return c.NodeID, kerr.ErrorForCode(c.ErrorCode)
	}
	return resp.NodeID, kerr.ErrorForCode(resp.ErrorCode)
}

// errNotOffered says that the brokers know nothing of what a fault needs.
var errNotOffered = errors.New("the brokers do not offer it")

// offered wants the brokers to serve an API.
func (n *Nemesis) offered(ctx context.Context, key kmsg.Key) error {
	versions, err := kadm.NewClient(n.client).ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, broker := range versions {
		if _, known := broker.KeyMaxVersion(key.Int16()); broker.Err == nil && !known {
			return fmt.Errorf("%s: %w", key.Name(), errNotOffered)
		}
	}
	return nil
}

// elect has all partitions led by their preferred replicas again.
func (n *Nemesis) elect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aimPatience)
	defer cancel()
	if err := n.offered(ctx, kmsg.ElectLeaders); err != nil {
		return err
	}
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = int32(aimPatience.Milliseconds())
	resp, err := req.RequestWith(ctx, n.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// place has each of these partitions moved to replicas of its own choice, and
// returns before they are.
func (n *Nemesis) place(ctx context.Context, partitions []kadm.PartitionDetail, on func() []int32) error {
	var req kadm.AlterPartitionAssignmentsReq
	for _, p := range partitions {
		req.Assign(p.Topic, p.Partition, on())
	}
	return n.again(ctx, func(ctx context.Context) error {
		placed, err := kadm.NewClient(n.client).AlterPartitionAssignments(ctx, req)
		return errors.Join(err, placed.Error())
	})
}

// again tries until it succeeds, as operators do: there may be no controller now.
func (n *Nemesis) again(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, aimPatience)
	defer cancel()
	return n.againWithin(ctx, do)
}

// againWithin is again for as long as ctx lasts.
func (n *Nemesis) againWithin(ctx context.Context, do func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// newClient is one that hears of a change soon.
func newClient(bootstrap []string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RetryTimeout(3*time.Second))
}
