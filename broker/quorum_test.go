package broker

import (
	"fmt"

	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/cluster"
)

func askQuorum(t *testing.T, b *Broker, topic string, partition int32) kmsg.DescribeQuorumResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: topic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: partition}}}}
	return ask(t, b, req, kmsg.NewPtrDescribeQuorumResponse()).Topics[0].Partitions[0]
}

// One broker is its own quorum, and there is no other.
func TestQuorumOfOne(t *testing.T) {
	b, _ := open(t, nil)
	got := askQuorum(t, b, cluster.MetadataTopic, 0)
	if got.ErrorCode != 0 || got.LeaderID != 1 || got.LeaderEpoch < 1 || got.HighWatermark < 1 || len(got.CurrentVoters) != 1 || len(got.Observers) != 0 {
		t.Fatalf("quorum %+v, want this node alone", got)
	}
	if v := got.CurrentVoters[0]; v.ReplicaID != 1 || v.LogEndOffset != got.HighWatermark || v.LastFetchTimestamp <= 0 || v.LastCaughtUpTimestamp <= 0 {
		t.Errorf("voter %+v, want this node at %d", v, got.HighWatermark)
	}
	for _, other := range []struct {
		topic     string
		partition int32
	}{{"orders", 0}, {cluster.MetadataTopic, 1}} {
		if got := askQuorum(t, b, other.topic, other.partition); got.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("%v: code %d, want UNKNOWN_TOPIC_OR_PARTITION", other, got.ErrorCode)
		}
	}
}

// Levels are changed together or not at all, and coordinators go by the new one.
func TestUpdateFeatures(t *testing.T) {
	b, _ := open(t, nil)
	update := func(version int16, updates ...kmsg.UpdateFeaturesRequestFeatureUpdate) *kmsg.UpdateFeaturesResponse {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version, req.FeatureUpdates = version, updates
		return ask(t, b, req, kmsg.NewPtrUpdateFeaturesResponse())
	}
	down := kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: cluster.TransactionVersion, MaxVersionLevel: 1, UpgradeType: cluster.SafeDowngrade, AllowDowngrade: true}
	got := update(1, down, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: "no.such", MaxVersionLevel: 1, UpgradeType: cluster.Upgrade})
	if got.ErrorCode != kerr.InvalidUpdateVersion.Code || got.ErrorMessage == nil || b.image().Feature(cluster.TransactionVersion) != 2 {
		t.Errorf("one of two that is refused: %+v, level %d; want INVALID_UPDATE_VERSION and no change", got, b.image().Feature(cluster.TransactionVersion))
	}
	for version, results := range map[int16]int{0: 1, 1: 1, 2: 0} {
		if got := update(version, down); got.ErrorCode != 0 || len(got.Results) != results || b.image().Feature(cluster.TransactionVersion) != 1 {
			t.Errorf("v%d: %+v, level %d; want %d results and level 1", version, got, b.image().Feature(cluster.TransactionVersion), results)
		}
		up := kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: cluster.TransactionVersion, MaxVersionLevel: 2, UpgradeType: cluster.Upgrade}
		if got := update(version, up); got.ErrorCode != 0 {
			t.Errorf("v%d up again: %+v", version, got)
		}
	}
}

// Quotas are answered by what a filter matches.
func TestClientQuotas(t *testing.T) {
	b, _ := open(t, nil)
	name := func(s string) *string { return &s }
	alter := func(ops []kmsg.AlterClientQuotasRequestEntryOp, entity ...kmsg.AlterClientQuotasRequestEntryEntity) kmsg.AlterClientQuotasResponseEntry {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Version = 1
		req.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: entity, Ops: ops}}
		return ask(t, b, req, kmsg.NewPtrAlterClientQuotasResponse()).Entries[0]
	}
	limit := []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1000}}
	client := kmsg.AlterClientQuotasRequestEntryEntity{Type: "client-id", Name: name("c1")}
	anyClient := kmsg.AlterClientQuotasRequestEntryEntity{Type: "client-id"}
	alice := kmsg.AlterClientQuotasRequestEntryEntity{Type: "user", Name: name("alice")}
	for _, entity := range [][]kmsg.AlterClientQuotasRequestEntryEntity{{client}, {anyClient}, {alice}, {alice, client}} {
		if got := alter(limit, entity...); got.ErrorCode != 0 || len(got.Entity) != len(entity) {
			t.Errorf("%+v: %+v", entity, got)
		}
	}
	if got := alter(limit, client, anyClient); got.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("one type twice: %+v, want INVALID_REQUEST", got)
	}
	exact := func(typ, of string) kmsg.DescribeClientQuotasRequestComponent {
		return kmsg.DescribeClientQuotasRequestComponent{EntityType: typ, MatchType: kmsg.QuotasMatchTypeExact, Match: name(of)}
	}
	anyOf := func(typ string, match kmsg.QuotasMatchType) kmsg.DescribeClientQuotasRequestComponent {
		return kmsg.DescribeClientQuotasRequestComponent{EntityType: typ, MatchType: match}
	}
	for _, c := range []struct {
		what   string
		filter []kmsg.DescribeClientQuotasRequestComponent
		strict bool
		want   string // entities; "!" and a code
	}{
		{"all", nil, false, "[client-id=c1,user=alice client-id=c1 client-id= user=alice]"},
		{"none", nil, true, "[]"},
		{"a client", []kmsg.DescribeClientQuotasRequestComponent{exact("client-id", "c1")}, false, "[client-id=c1,user=alice client-id=c1]"},
		{"a client alone", []kmsg.DescribeClientQuotasRequestComponent{exact("client-id", "c1")}, true, "[client-id=c1]"},
		{"the default client", []kmsg.DescribeClientQuotasRequestComponent{anyOf("client-id", kmsg.QuotasMatchTypeDefault)}, false, "[client-id=]"},
		{"any user", []kmsg.DescribeClientQuotasRequestComponent{anyOf("user", kmsg.QuotasMatchTypeAny)}, false, "[client-id=c1,user=alice user=alice]"},
		{"any user with any client", []kmsg.DescribeClientQuotasRequestComponent{anyOf("user", kmsg.QuotasMatchTypeAny), anyOf("client-id", kmsg.QuotasMatchTypeAny)}, true, "[client-id=c1,user=alice]"},
		{"an ip beside a user", []kmsg.DescribeClientQuotasRequestComponent{exact("ip", "::1"), exact("user", "alice")}, false, "!42"},
		{"a group", []kmsg.DescribeClientQuotasRequestComponent{exact("group", "g")}, false, "!35"},
		{"a type twice", []kmsg.DescribeClientQuotasRequestComponent{exact("user", "a"), exact("user", "b")}, false, "!42"},
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Version, req.Components, req.Strict = 1, c.filter, c.strict
		resp := ask(t, b, req, kmsg.NewPtrDescribeClientQuotasResponse())
		got := fmt.Sprintf("!%d", resp.ErrorCode)
		if resp.ErrorCode == 0 {
			got = fmt.Sprint(entitiesOf(resp.Entries))
			if resp.Entries == nil { // Kafka's AdminClient fails on it
				got = "null"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func entitiesOf(entries []kmsg.DescribeClientQuotasResponseEntry) []string {
	all := []string{}
	for _, e := range entries {
		text := ""
		for _, part := range e.Entity {
			if text != "" {
				text += ","
			}
			text += part.Type + "="
			if part.Name != nil {
				text += *part.Name
			}
		}
		all = append(all, text)
	}
	return all
}
