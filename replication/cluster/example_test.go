package cluster_test

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// A node in memory founds a cluster and creates a topic.
func Example() {
	ctx, fs := context.Background(), vfs.NewMem()
	node, err := replication.Open(replication.Config{NodeID: 1, FS: fs, Dir: "data"})
	if err != nil {
		panic(err)
	}
	defer node.Close(ctx)
	metadata, err := cluster.Open(ctx, node, nil, fs, cluster.Config{NodeID: 1, Dir: "data"})
	if err != nil {
		panic(err)
	}
	defer metadata.Close()

	address := cluster.Listener{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "localhost", Port: 9092}
	if _, err := metadata.RegisterBroker(ctx, cluster.Broker{ID: 1, Listeners: []cluster.Listener{address}}); err != nil {
		panic(err)
	}
	if _, err := metadata.CreateTopic(ctx, cluster.TopicSpec{Name: "orders", Partitions: 2, ReplicationFactor: -1}); err != nil {
		panic(err)
	}
	topic, _ := metadata.Image().Topic("orders")
	for _, p := range topic.Partitions {
		fmt.Println(topic.Name, p.ID, p.Replicas)
	}
	// Output:
	// orders 0 [1]
	// orders 1 [1]
}
