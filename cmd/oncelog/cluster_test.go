package main

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	want := clusterStatus{
		ClusterID: "c", Controller: 2, Partitions: 3, Leaderless: []string{"orders-1"}, UnderReplicated: []string{"orders-0", "orders-1"},
		Brokers: []clusterBroker{{ID: 1, Address: "a:9", Leaders: 1, Replicas: 2}, {ID: 2, Address: "b:9", Controller: true, Leaders: 1, Replicas: 2}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}
