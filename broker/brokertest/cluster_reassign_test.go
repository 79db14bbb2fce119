package brokertest_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// reassign moves partitions and waits until nothing moves any more.
func reassign(t *testing.T, client *kgo.Client, topic string, targets map[int32][]int32) {
	t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	for p, replicas := range targets {
		req.Assign(topic, p, replicas)
	}
	answers, err := kadm.NewClient(client).AlterPartitionAssignments(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := answers.Error(); err != nil {
		t.Fatal(err)
	}
	awaitStill(t, client)
}

func awaitStill(t *testing.T, client *kgo.Client) {
	t.Helper()
	for range 600 {
		if len(moving(t, client)) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("partitions are still being reassigned after a minute")
}

// moving lists what is being reassigned, as a partition's adding and removing replicas.
func moving(t *testing.T, client *kgo.Client) map[int32][2][]int32 {
	t.Helper()
	resp, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int32][2][]int32{}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			all[p.Partition] = [2][]int32{p.AddingReplicas, p.RemovingReplicas}
		}
	}
	return all
}

// foldersOf counts the partitions of a topic on a node's disk.
func foldersOf(t *testing.T, c *brokertest.Cluster, node int32, id kadm.TopicID) int {
	t.Helper()
	entries, err := c.Servers[node-1].FS.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), hex.EncodeToString(id[:])) {
			n++
		}
	}
	return n
}

// Partitions move to other brokers with all that they hold; those that had them
// keep nothing.
func TestReassignPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 5, brokertest.Options{})
		client := clusterClient(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		admin := kadm.NewClient(client)
		made, err := admin.CreateTopic(t.Context(), 4, 3, nil, "orders")
		if err != nil {
			t.Fatal(err)
		}
		// Else two goroutines of the client may wait for it with a mutex, while time stands still.
		if _, _, err := client.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
		for p := range int32(4) {
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: []byte("before")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		targets := map[int32][]int32{0: {4, 5, 1}, 1: {5, 1, 2}, 2: {2}, 3: {1, 2, 3, 4, 5}}
		reassign(t, client, "orders", targets)
		time.Sleep(2 * time.Second)
		meta := metadataOf(t, c, 3)
		for p, want := range targets {
			got := meta.Topics["orders"].Partitions[p]
			slices.Sort(got.ISR)
			if !slices.Equal(got.Replicas, want) || !slices.Equal(got.ISR, slices.Sorted(slices.Values(want))) || !slices.Contains(want, got.Leader) {
				t.Errorf("partition %d: replicas %v, in sync %v, leader %d; want %v", p, got.Replicas, got.ISR, got.Leader, want)
			}
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: []byte("after")}).FirstErr(); err != nil {
				t.Errorf("partition %d: %v", p, err)
			}
		}
		for node, want := range []int{0, 3, 3, 1, 2, 3} {
			if node > 0 && foldersOf(t, c, int32(node), made.ID) != want {
				t.Errorf("node %d holds %d partitions, want %d", node, foldersOf(t, c, int32(node), made.ID), want)
			}
		}
		values := map[string]int{}
		consumer := clusterClient(t, c, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for values["before"]+values["after"] < 8 && ctx.Err() == nil {
			consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) { values[string(r.Value)]++ })
		}
		if values["before"] != 4 || values["after"] != 4 {
			t.Errorf("read %v, want four of each", values)
		}
	})
}

// A replica that is to go and is wanted again has a vote in the end, though it was
// taken already and the controller, which waits for another partition's leader, has
// not written so yet.
func TestReplicasThatAreWantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 4, brokertest.Options{})
		controller := metadataOf(t, c, 1).Controller
		client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[controller-1]))
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		away, stays, goes := controller%4+1, (controller+1)%4+1, (controller+2)%4+1
		ask := func(targets map[int32][]int32) {
			t.Helper()
			var req kadm.AlterPartitionAssignmentsReq
			for p, replicas := range targets {
				req.Assign("orders", p, replicas)
			}
			answers, err := kadm.NewClient(client).AlterPartitionAssignments(t.Context(), req)
			if err := errors.Join(err, answers.Error()); err != nil {
				t.Fatal(err)
			}
		}
		for wait := 100 * time.Millisecond; wait < 2*time.Second; wait += 100 * time.Millisecond {
			reassign(t, client, "orders", map[int32][]int32{0: {away}, 1: {stays, controller, goes}})
			time.Sleep(3 * time.Second) // every broker is heard and every leader is known
			cutOff(c, away)
			ask(map[int32][]int32{0: {away, controller}, 1: {stays, controller}})
			time.Sleep(wait)
			ask(map[int32][]int32{1: {goes, stays, controller}})
			for other := range int32(4) {
				c.Network.Heal(brokertest.HostName(away), brokertest.HostName(other+1))
				c.Network.Heal(brokertest.HostName(other+1), brokertest.HostName(away))
			}
			awaitStill(t, client)
			time.Sleep(2 * time.Second)
			got := metadataOf(t, c, goes).Topics["orders"].Partitions[1]
			if len(got.ISR) != 3 || got.Leader < 0 {
				t.Fatalf("wanted again after %v: replicas %v, in sync %v, leader %d by node %d; want all three in sync", wait, got.Replicas, got.ISR, got.Leader, goes)
			}
		}
	})
}

// What a client may ask for, and what it is told.
func TestReassignmentsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name     string
			topic    string
			p        int32
			replicas []int32
			want     error
		}{
			{"a topic that is not there", "gone", 0, []int32{1}, kerr.UnknownTopicOrPartition},
			{"a partition that is not there", "orders", 1, []int32{1}, kerr.UnknownTopicOrPartition},
			{"a broker that is not there", "orders", 0, []int32{1, 7}, kerr.InvalidReplicaAssignment},
			{"a broker twice", "orders", 0, []int32{1, 1}, kerr.InvalidReplicaAssignment},
			{"nobody", "orders", 0, []int32{}, kerr.InvalidReplicaAssignment},
			{"to cancel nothing", "orders", 0, nil, kerr.NoReassignmentInProgress},
		} {
			var req kadm.AlterPartitionAssignmentsReq
			if tt.replicas == nil {
				req.CancelAssign(tt.topic, tt.p)
			} else {
				req.Assign(tt.topic, tt.p, tt.replicas)
			}
			answers, err := admin.AlterPartitionAssignments(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if err := answers.Error(); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
	})
}

// A reassignment to a broker that is away is listed, and goes back when it is
// cancelled; a deleted topic ends it.
func TestCancelReassignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 4, brokertest.Options{})
		client := clusterClient(t, c)
		admin := kadm.NewClient(client)
		if resp, err := admin.CreateTopics(t.Context(), 2, 1, nil, "orders"); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		time.Sleep(3 * time.Second) // every broker is heard and every leader is known
		before := metadataOf(t, c, 1).Topics["orders"].Partitions
		away := int32(4)
		for away == before[0].Leader || away == before[1].Leader || away == metadataOf(t, c, 1).Controller {
			away--
		}
		if err := c.Kill(away); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		var req kadm.AlterPartitionAssignmentsReq
		for p := range int32(2) {
			req.Assign("orders", p, []int32{before[p].Leader, away})
		}
		if answers, err := admin.AlterPartitionAssignments(t.Context(), req); err != nil || answers.Error() != nil {
			t.Fatal(err, answers.Error())
		}
		time.Sleep(5 * time.Second)
		for p, got := range moving(t, client) {
			if !slices.Equal(got[0], []int32{away}) || len(got[1]) != 0 {
				t.Errorf("partition %d: adding %v, removing %v; want to add %d", p, got[0], got[1], away)
			}
		}
		if n := len(moving(t, client)); n != 2 {
			t.Errorf("%d partitions are listed, want 2", n)
		}
		var cancel kadm.AlterPartitionAssignmentsReq
		cancel.CancelAssign("orders", 0)
		if answers, err := admin.AlterPartitionAssignments(t.Context(), cancel); err != nil || answers.Error() != nil {
			t.Fatal(err, answers.Error())
		}
		time.Sleep(time.Second) // every broker has heard
		after := metadataOf(t, c, before[0].Leader).Topics["orders"].Partitions
		if !slices.Equal(after[0].Replicas, before[0].Replicas) || after[0].Leader != before[0].Leader {
			t.Errorf("after the cancellation: replicas %v, leader %d; want %v", after[0].Replicas, after[0].Leader, before[0].Replicas)
		}
		if resp, err := admin.DeleteTopics(t.Context(), "orders"); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		awaitStill(t, client)
		if err := c.Start(t.Context(), away); err != nil {
			t.Fatal(err)
		}
	})
}

// Leaders are elected on demand, go back by themselves to the replicas that should
// have them, and leave a broker before it stops.
func TestPreferredLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{Properties: map[string]string{"leader.imbalance.check.interval.seconds": "60"}})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 6, 3, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		strays := func(node int32) (n int) {
			t.Helper()
			for _, p := range metadataOf(t, c, node).Topics["orders"].Partitions {
				if p.Leader != p.Replicas[0] {
					n++
				}
			}
			return n
		}
		time.Sleep(61 * time.Second)
		if n := strays(1); n != 0 {
			t.Errorf("%d leaders are not the preferred ones a minute after the start", n)
		}
		var all kadm.TopicsSet
		for p := range int32(6) {
			all.Add("orders", p)
		}
		results, err := admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, all)
		if err != nil {
			t.Fatal(err)
		}
		for p, r := range results["orders"] {
			if !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				t.Errorf("partition %d: %v, want ELECTION_NOT_NEEDED", p, r.Err)
			}
		}
		if err := c.Stop(2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // far less than it takes to miss a node
		for p, d := range metadataOf(t, c, 1).Topics["orders"].Partitions {
			if d.Leader < 0 || d.Leader == 2 {
				t.Errorf("partition %d is led by %d after broker 2 stopped", p, d.Leader)
			}
		}
		time.Sleep(3 * time.Second)
		results, err = admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, all)
		if err != nil {
			t.Fatal(err)
		}
		for p, d := range metadataOf(t, c, 1).Topics["orders"].Partitions {
			if want := map[bool]error{true: kerr.PreferredLeaderNotAvailable, false: kerr.ElectionNotNeeded}[d.Replicas[0] == 2]; !errors.Is(results["orders"][p].Err, want) {
				t.Errorf("partition %d of %v: %v, want %v", p, d.Replicas, results["orders"][p].Err, want)
			}
		}
		if err := c.Start(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if strays(1) == 0 {
			t.Error("the leaders went back before anybody asked")
		}
		if _, err = admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, all); err != nil || strays(1) != 0 {
			t.Errorf("%d leaders are not the preferred ones after their election, %v", strays(1), err)
		}
		if err := c.Stop(3); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(65 * time.Second)
		if n := strays(2); n != 0 {
			t.Errorf("%d leaders did not go back by themselves", n)
		}
		results, err = admin.ElectLeaders(t.Context(), kadm.ElectLiveReplica, all)
		if err != nil || !errors.Is(results["orders"][0].Err, kerr.ElectionNotNeeded) {
			t.Errorf("unclean election of a partition with a leader: %v, %v; want ELECTION_NOT_NEEDED", results["orders"][0].Err, err)
		}
	})
}
