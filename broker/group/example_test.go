package group_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/group"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// oneTopic is metadata that knows the topic "orders" with one partition.
type oneTopic struct{}

func (oneTopic) ByName(name string) ([16]byte, int32, bool) {
	return [16]byte{1}, 1, name == "orders"
}
func (oneTopic) ByID(id [16]byte) (string, int32, bool) { return "orders", 1, id == [16]byte{1} }
func (oneTopic) Deleted([16]byte) bool                  { return false }

// A standalone consumer commits an offset and finds it again.
func Example() {
	ctx := context.Background()
	c, err := group.New(group.Config{Partitions: 1, Topics: oneTopic{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.Lead(0, shardtest.New()); err != nil {
		fmt.Println(err)
		return
	}

	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group = 9, "billing"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = 42
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	committed := kmsg.NewPtrOffsetCommitResponse()
	if err := c.OffsetCommit(ctx, commit, committed); err != nil {
		fmt.Println(err)
	}

	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version, fetch.Groups = 9, []kmsg.OffsetFetchRequestGroup{{Group: "billing"}} // null topics: all
	fetched := kmsg.NewPtrOffsetFetchResponse()
	if err := c.OffsetFetch(ctx, fetch, fetched); err != nil {
		fmt.Println(err)
	}
	topic := fetched.Groups[0].Topics[0]
	fmt.Println(topic.Topic, topic.Partitions[0].Partition, topic.Partitions[0].Offset)
	// Output: orders 0 42
}
