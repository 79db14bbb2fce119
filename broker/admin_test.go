package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Consoles ask for ACLs first, and know SECURITY_DISABLED; the rest of what
// they ask for does not depend on it.
func TestACLsAreDisabled(t *testing.T) {
	b, _ := open(t, nil)
	want := kerr.SecurityDisabled.Code
	describe := kmsg.NewPtrDescribeACLsRequest()
	describe.Version = 3
	described := ask(t, b, describe, kmsg.NewPtrDescribeACLsResponse())
	if described.ErrorCode != want || described.ErrorMessage == nil {
		t.Errorf("DescribeACLs: code %d with message %v, want %d with one", described.ErrorCode, described.ErrorMessage, want)
	}
	create := kmsg.NewPtrCreateACLsRequest()
	create.Version = 3
	create.Creations = make([]kmsg.CreateACLsRequestCreation, 2)
	created := ask(t, b, create, kmsg.NewPtrCreateACLsResponse())
	if len(created.Results) != 2 || created.Results[1].ErrorCode != want {
		t.Errorf("CreateACLs of 2 rules: %+v, want code %d for each", created.Results, want)
	}
	remove := kmsg.NewPtrDeleteACLsRequest()
	remove.Version = 3
	remove.Filters = make([]kmsg.DeleteACLsRequestFilter, 2)
	removed := ask(t, b, remove, kmsg.NewPtrDeleteACLsResponse())
	if len(removed.Results) != 2 || removed.Results[1].ErrorCode != want {
		t.Errorf("DeleteACLs of 2 filters: %+v, want code %d for each", removed.Results, want)
	}
}

// A page holds max.request.partition.size.limit partitions at most, whatever
// the client would take.
func TestPageOfPartitionsIsBounded(t *testing.T) {
	b, _ := open(t, map[string]string{"max.request.partition.size.limit": "2"})
	if err := b.EnsureTopic(t.Context(), "orders", 3); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 1000
	page := ask(t, b, req, kmsg.NewPtrDescribeTopicPartitionsResponse())
	if len(page.Topics) != 1 || len(page.Topics[0].Partitions) != 2 {
		t.Fatalf("topics %+v, want orders with 2 partitions", page.Topics)
	}
	if page.NextCursor == nil || page.NextCursor.Topic != "orders" || page.NextCursor.Partition != 2 {
		t.Errorf("cursor %+v, want partition 2 of orders", page.NextCursor)
	}
	for _, p := range page.Topics[0].Partitions {
		if p.LeaderID != b.nodeID() || len(p.ISR) != 1 {
			t.Errorf("partition %d: leader %d in sync %v, want this node alone", p.Partition, p.LeaderID, p.ISR)
		}
	}
}

// topicOrder has a place for each setting of a topic.
func TestEveryTopicSettingHasItsPlace(t *testing.T) {
	placed := map[string]bool{}
	for _, name := range topicOrder {
		if placed[name] {
			t.Errorf("%s has two places", name)
		}
		placed[name] = true
	}
	for _, k := range topicKeys.keys {
		if placed[k.name] == k.internal {
			t.Errorf("%s: placed %v, internal %v; want one of both", k.name, placed[k.name], k.internal)
		}
	}
}

// Kafka tells both names of a broker's number, whichever was set.
func TestBrokerIDIsToldUnderBothNames(t *testing.T) {
	for _, name := range []string{"node.id", "broker.id"} {
		told := map[string]string{}
		for _, c := range describeBroker(mustSettings(t, map[string]string{name: "7"})) {
			if c.Value != nil {
				told[c.Name] = *c.Value
			}
		}
		if told["node.id"] != "7" || told["broker.id"] != "7" {
			t.Errorf("with %s=7: node.id %q and broker.id %q, want 7 for both", name, told["node.id"], told["broker.id"])
		}
	}
}
