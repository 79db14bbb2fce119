package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestStatusCountsWhatIsInTrouble(t *testing.T) {
	got, err := statusOf(kadm.Metadata{
		Cluster: "c", Controller: 2, Brokers: kadm.BrokerDetails{{NodeID: 1, Host: "a", Port: 9}, {NodeID: 2, Host: "b", Port: 9}},
		Topics: kadm.TopicDetails{"orders": {Topic: "orders", Partitions: kadm.PartitionDetails{
			0: {Topic: "orders", Partition: 0, Leader: 2, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}},
			1: {Topic: "orders", Partition: 1, Leader: -1, Replicas: []int32{3}, Err: kerr.LeaderNotAvailable},
			2: {Topic: "orders", Partition: 2, Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{2, 1}},
		}}},
	})
	got.replicas = nil
	want := clusterStatus{
		ClusterID: "c", Controller: 2, Partitions: 3, Leaderless: []string{"orders-1"}, UnderReplicated: []string{"orders-0", "orders-1"},
		Brokers: []clusterBroker{{ID: 1, Address: "a:9", Leaders: 1, Replicas: 2}, {ID: 2, Address: "b:9", Controller: true, Leaders: 1, Replicas: 2}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// What is fenced is listed all the same, and each broker's part in the quorum.
func TestStatusTellsTheQuorum(t *testing.T) {
	s := clusterStatus{Brokers: []clusterBroker{{ID: 1}, {ID: 3}}, replicas: map[int32]int{2: 4}}
	s.addFenced([]kmsg.DescribeClusterResponseBroker{{NodeID: 1}, {NodeID: 2, Host: "b", Port: 9, IsFenced: true}, {NodeID: 3}})
	s.addQuorum(kmsg.DescribeQuorumResponseTopicPartition{
		LeaderID:      3,
		CurrentVoters: []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{{ReplicaID: 3, LogEndOffset: 10}, {ReplicaID: 2, LogEndOffset: -1}},
		Observers:     []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{{ReplicaID: 1, LogEndOffset: 7}, {ReplicaID: 9}},
	})
	want := []clusterBroker{{ID: 1, Quorum: "observer", Lag: 3}, {ID: 2, Address: "b:9", Replicas: 4, Fenced: true, Quorum: "voter", Lag: -1}, {ID: 3, Quorum: "leader"}}
	if !reflect.DeepEqual(s.Brokers, want) {
		t.Errorf("got  %+v\nwant %+v", s.Brokers, want)
	}
}

// Replicas go to who has the fewest and holds none of the partition.
func TestDrain(t *testing.T) {
	partition := func(i int32, replicas ...int32) kadm.PartitionDetail {
		return kadm.PartitionDetail{Topic: "orders", Partition: i, Replicas: replicas}
	}
	meta := kadm.Metadata{
		Brokers: kadm.BrokerDetails{{NodeID: 1}, {NodeID: 2}, {NodeID: 3}, {NodeID: 4}},
		Topics:  kadm.TopicDetails{"orders": {Topic: "orders", Partitions: kadm.PartitionDetails{0: partition(0, 3, 1), 1: partition(1, 1, 3), 2: partition(2, 1, 2)}}},
	}
	moves, held, err := drainOf(meta, nil, 3)
	var want kadm.AlterPartitionAssignmentsReq
	want.Assign("orders", 0, []int32{4, 1})
	want.Assign("orders", 1, []int32{1, 2})
	if err != nil || held != 2 || !reflect.DeepEqual(moves, want) {
		t.Errorf("got  %v, %d, %v\nwant %v", moves, held, err, want)
	}
	// 0 leaves broker 3 already, 1 goes there and away from 2, which can so take it.
	moving := kadm.Metadata{Brokers: meta.Brokers, Topics: kadm.TopicDetails{"orders": {Topic: "orders", Partitions: kadm.PartitionDetails{0: partition(0, 4, 1, 3), 1: partition(1, 3, 1, 4, 2)}}}}
	under := kadm.ListPartitionReassignmentsResponses{"orders": {0: {RemovingReplicas: []int32{3}}, 1: {AddingReplicas: []int32{3}, RemovingReplicas: []int32{2}}}}
	moves, held, err = drainOf(moving, under, 3)
	want = nil
	want.Assign("orders", 1, []int32{2, 1, 4})
	if err != nil || held != 2 || !reflect.DeepEqual(moves, want) {
		t.Errorf("while partitions move: got  %v, %d, %v\nwant %v", moves, held, err, want)
	}
	meta.Brokers = meta.Brokers[:1]
	if _, held, err := drainOf(meta, nil, 3); held != 2 || err == nil || !strings.Contains(err.Error(), "add a broker first") {
		t.Errorf("with one other broker: %d held, %v; want what to do", held, err)
	}
	if _, held, err := drainOf(meta, nil, 9); held != 0 || err != nil {
		t.Errorf("a broker without replicas: %d held, %v", held, err)
	}
}
