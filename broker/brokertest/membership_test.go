package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// brokersOf lists the node ids that a broker's Metadata names.
func brokersOf(t *testing.T, c *brokertest.Cluster, node int32) string {
	t.Helper()
	client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[node-1]))
	defer client.Close()
	meta, err := kadm.NewClient(client).BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(meta.Brokers.NodeIDs())
}

// A load writes idempotently to a topic until it is stopped, and then reads back
// what it was told was written.
type load struct {
	client *kgo.Client
	topic  string
	sent   int
	stop   chan struct{}
	done   chan error
}

func startLoad(t *testing.T, c *brokertest.Cluster, topic string) *load {
	l := &load{client: clusterClient(t, c), topic: topic, stop: make(chan struct{}), done: make(chan error)}
	go func() { l.done <- l.run(t.Context()) }()
	return l
}

func (l *load) run(ctx context.Context) error {
	if _, _, err := l.client.ProducerID(ctx); err != nil { // waited for under a lock of the client's otherwise, on which a bubble's time stands still
		return err
	}
	for {
		select {
		case <-l.stop:
			return nil
		case <-time.After(50 * time.Millisecond): // the race detector is slow
		}
		record := &kgo.Record{Topic: l.topic, Value: fmt.Append(nil, l.sent)}
		if err := l.client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("record %d: %w", l.sent, err)
		}
		l.sent++
	}
}

// finish stops the load and says what is lost or doubled.
func (l *load) finish(t *testing.T, c *brokertest.Cluster) {
	t.Helper()
	close(l.stop)
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	reader := clusterClient(t, c, kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(seen) < l.sent && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
	}
	for i := range l.sent {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Errorf("record %d of %d is there %d times", i, l.sent, n)
		}
	}
	if l.sent == 0 {
		t.Error("the load wrote nothing")
	}
}

// A fourth broker joins three under load, holds replicas of a new topic, comes
// back after a restart, and is taken off again once it holds none.
func TestAFourthBrokerComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 3, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		orders := startLoad(t, c, "orders")
		if node := c.Add(t); node != 4 {
			t.Fatalf("node %d was added, want 4", node)
		}
		time.Sleep(3 * time.Second)
		for node := int32(1); node <= 4; node++ {
			if got := brokersOf(t, c, node); got != "[1 2 3 4]" {
				t.Errorf("broker %d names %s, want all four", node, got)
			}
		}
		if _, err := admin.CreateTopic(t.Context(), 8, 3, nil, "payments"); err != nil {
			t.Fatal(err)
		}
		payments := startLoad(t, c, "payments")
		time.Sleep(3 * time.Second)
		if held := heldBy(t, admin, 4); held == 0 {
			t.Error("the fourth broker holds no replica of 8 x 3")
		}
		if err := c.Remove(t.Context(), 4); !errors.Is(err, kerr.InvalidRequest) || !strings.Contains(err.Error(), "payments-") {
			t.Errorf("removing a broker that holds replicas: %v, want INVALID_REQUEST and which", err)
		}
		for range 2 {
			if err := c.Kill(4); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
			if err := c.Start(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		payments.finish(t, c)
		if _, err := admin.DeleteTopics(t.Context(), "payments"); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := brokersOf(t, c, 2); got != "[1 2 3]" {
			t.Errorf("brokers %s after the fourth was taken off", got)
		}
		if err := c.Start(t.Context(), 4); err != nil { // it joins anew, as with Kafka
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := brokersOf(t, c, 4); got != "[1 2 3 4]" {
			t.Errorf("brokers %s after the fourth came back", got)
		}
		orders.finish(t, c)
	})
}

// heldBy counts the replicas on a node.
func heldBy(t *testing.T, admin *kadm.Client, node int32) (held int) {
	t.Helper()
	meta, err := admin.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
		for _, r := range p.Replicas {
			if r == node {
				held++
			}
		}
	})
	return held
}

// One of the founders leaves for good: a broker that joined takes its vote, so
// that another may fail.
func TestAFounderLeaves(t *testing.T) {
	for founder := int32(1); founder <= 3; founder++ {
		synctest.Test(t, func(t *testing.T) {
			c := brokertest.StartCluster(t, 3, brokertest.Options{})
			c.Add(t)
			time.Sleep(5 * time.Second)
			if err := c.Remove(t.Context(), founder); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			other := founder%3 + 1
			if err := c.Kill(other); err != nil { // two of three voters are left, one of them the fourth
				t.Error(err)
			}
			time.Sleep(5 * time.Second)
			admin := kadm.NewClient(clusterClient(t, c))
			if err := changeMetadata(t, admin); err != nil {
				t.Errorf("founder %d left and %d was killed: %v, want a majority", founder, other, err)
			}
			if err := c.StartAll(t.Context()); err != nil { // the founder too, with the configuration it had
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if got := brokersOf(t, c, founder); got != "[1 2 3 4]" {
				t.Errorf("founder %d came back to %s", founder, got)
			}
		})
	}
}

// changeMetadata makes a change that needs a majority of the metadata's voters.
func changeMetadata(t *testing.T, admin *kadm.Client) error {
	t.Helper()
	value := "1000000"
	answers, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: "log.retention.ms", Value: &value}})
	if err != nil {
		return err
	}
	return answers[0].Err
}

// All brokers are stopped and start again, with one that joined as a voter.
func TestRestartOfAllWithOneThatJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		c.Add(t)
		time.Sleep(5 * time.Second)
		if err := c.Remove(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, node := range []int32{1, 2, 4} {
			if err := c.Stop(node); err != nil {
				t.Error(err)
			}
		}
		// 1 and 4 are a majority of the voters 1, 2 and 4; both must find the other.
		started := make(chan error)
		for _, node := range []int32{1, 4} {
			go func() { started <- c.Start(t.Context(), node) }()
		}
		for range 2 {
			if err := <-started; err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		if got := brokersOf(t, c, 4); got != "[1 4]" {
			t.Errorf("brokers %s, want 1 and 4", got)
		}
	})
}

// One broker alone grows to three, which then stand the loss of the first.
func TestOneBrokerGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 1, brokertest.Options{})
		c.Add(t)
		c.Add(t)
		time.Sleep(10 * time.Second)
		if err := c.Kill(1); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		admin := kadm.NewClient(clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[1:]...)))
		if got := brokersOf(t, c, 3); got != "[2 3]" {
			t.Errorf("brokers %s after the first was killed", got)
		}
		if err := changeMetadata(t, admin); err != nil {
			t.Errorf("a change without the first: %v", err)
		}
	})
}

// Who is of another cluster, or has the node id of a broker that is there, is
// told so and does not start.
func TestStrangersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		time.Sleep(3 * time.Second)
		for name, change := range map[string][2]string{
			`is of cluster "other"`:              {"cluster.id", "other"},
			"another node with node.id 2":        {"node.id", "2"},
			"node.id must differ":                {"node.id", "1"},
			"cluster.id must be set":             {"cluster.id", ""},
			"is not of the form host:port":       {"controller.quorum.bootstrap.servers", "127.0.0.1"},
			"CONTROLLER has the security":        {"controller.listener.names", ""},
			"listeners: CONTROLLER: listen tcp ": {"listeners", "PLAINTEXT://127.0.0.1:9099,CONTROLLER://127.0.0.1:9190"},
		} {
			properties := map[string]string{
				"node.id": "4", "cluster.id": "brokertest", "controller.listener.names": "CONTROLLER",
				"listeners":                           "PLAINTEXT://127.0.0.1:9099,CONTROLLER://127.0.0.1:9199",
				"controller.quorum.bootstrap.servers": "127.0.0.1:9190",
			}
			properties[change[0]] = change[1]
			s, err := brokertest.Open(t.Context(), brokertest.Options{Network: c.Network, Host: "stranger", Properties: properties})
			if err == nil {
				err = s.Stop()
				t.Errorf("%v: the broker started", change)
			}
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v: %v, want %q", change, err, name)
			}
		}
	})
}

// A fourth broker joins three under load, takes over all that one of the first
// three holds, and that one leaves: nothing is lost, doubled or refused.
func TestAFounderIsReplacedUnderLoad(t *testing.T) {
	for founder := int32(1); founder <= 3; founder++ {
		synctest.Test(t, func(t *testing.T) {
			c := brokertest.StartCluster(t, 3, brokertest.Options{})
			admin := kadm.NewClient(clusterClient(t, c))
			if _, err := admin.CreateTopic(t.Context(), 6, 3, nil, "orders"); err != nil {
				t.Fatal(err)
			}
			orders := startLoad(t, c, "orders")
			time.Sleep(3 * time.Second)
			c.Add(t)
			time.Sleep(3 * time.Second)
			drain(t, admin, founder, 4)
			if err := c.Remove(t.Context(), founder); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if got := brokersOf(t, c, 4); strings.Contains(got, fmt.Sprint(founder)) {
				t.Errorf("brokers %s after %d left", got, founder)
			}
			if err := c.Kill(founder%3 + 1); err != nil { // what moved is whole without another
				t.Error(err)
			}
			time.Sleep(5 * time.Second)
			orders.finish(t, c)
		})
	}
}

// drain moves every replica from one broker to another and waits for it.
func drain(t *testing.T, admin *kadm.Client, from, to int32) {
	t.Helper()
	meta, err := admin.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var moves kadm.AlterPartitionAssignmentsReq
	meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
		var next []int32
		for _, r := range p.Replicas {
			if r == from {
				r = to
			}
			next = append(next, r)
		}
		moves.Assign(p.Topic, p.Partition, next)
	})
	answers, err := admin.AlterPartitionAssignments(t.Context(), moves)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if heldBy(t, admin, from) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("broker %d still holds %d replicas after a minute", from, heldBy(t, admin, from))
}
