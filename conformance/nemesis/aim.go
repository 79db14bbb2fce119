package nemesis

import (
	"context"
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
	ctx, cancel := context.WithTimeout(ctx, aimPatience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if node, err = n.findNow(ctx, who); err == nil {
			return node, nil
		}
		select {
		case <-ticker.C: // there is none while leaders are elected
		case <-ctx.Done():
			return 0, fmt.Errorf("find a %s: %w", who, err)
		}
	}
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
			return 0, fmt.Errorf("the cluster has no controller")
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

// elect has all partitions led by their preferred replicas again; false says
// that the brokers do not know how.
func (n *Nemesis) elect(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, aimPatience)
	defer cancel()
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = int32(aimPatience.Milliseconds())
	resp, err := req.RequestWith(ctx, n.client)
	if err != nil {
		if ctx.Err() != nil {
			return true, err
		}
		return false, nil
	}
	return true, kerr.ErrorForCode(resp.ErrorCode)
}

// newClient is one that hears of a change soon.
func newClient(bootstrap []string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RetryTimeout(3*time.Second))
}
