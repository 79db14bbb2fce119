package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// joined is a JoinGroup of a new member, changed.
func joined(change func(*kmsg.JoinGroupRequest)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		h.coordinator(0, h.topic)
		r := joining(h.topic)
		change(r)
		return frame(r)
	}
}

// joining is of a version that needs no member id given before.
func joining(group string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 3, group, 30_000, 30_000, "consumer"
	r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("x")}}
	return r
}

// committed is an OffsetCommit of a standalone consumer, changed.
func committed(change func(*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitRequestTopicPartition)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		h.coordinator(0, h.topic)
		r := kmsg.NewPtrOffsetCommitRequest()
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		r.Version, r.Group, r.Generation = 7, h.topic, -1
		change(r, &partition)
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.Partitions = h.topic, []kmsg.OffsetCommitRequestTopicPartition{partition}
		r.Topics = []kmsg.OffsetCommitRequestTopic{topic}
		return frame(r)
	}
}

func TestHostileGroups(t *testing.T) {
	play(t, []hostileRow{
		{number: 87, what: "a group without a name", send: joined(func(r *kmsg.JoinGroupRequest) { r.Group = "" }), want: code(24)},
		{number: 88, what: "a session of 1 ms", send: joined(func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 }), want: code(26)},
		{number: 89, what: "no protocol", send: joined(func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }), want: code(23)},
		{number: 90, what: "the heartbeat of nobody", want: code(25), send: func(h *hostile) []byte {
			h.coordinator(0, h.topic)
			r := kmsg.NewPtrHeartbeatRequest()
			r.Version, r.Group, r.MemberID, r.Generation = 3, h.topic, "nobody", 1
			return frame(r)
		}},
		{number: 91, what: "a commit in a generation that is not", want: code(22), send: committed(func(r *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitRequestTopicPartition) {
			r.Generation, r.MemberID = 5, "nobody"
		})},
		{number: 92, what: "5000 bytes of metadata", want: code(12), send: committed(func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) {
			p.Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
		})},
		{number: 93, what: "offset -5", want: code(42), kafka: code(0), send: committed(func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) {
			p.Offset = -5
		})},
		{number: 98, what: "a SASL handshake where there is none", want: code(34), send: func(*hostile) []byte {
			r := kmsg.NewPtrSASLHandshakeRequest()
			r.Version, r.Mechanism = 1, "PLAIN"
			return frame(r)
		}},
		{number: 99, what: "SASL without a handshake", want: code(34), send: func(*hostile) []byte {
			r := kmsg.NewPtrSASLAuthenticateRequest()
			r.Version, r.SASLAuthBytes = 2, []byte("\x00user\x00password")
			return frame(r)
		}},
		{number: 110, what: "more members than group.max.size", set: map[string]string{"group.max.size": "2", "group.initial.rebalance.delay.ms": "1000"}, run: fullGroup},
		{number: 111, what: "10000 names of groups, asked for", run: namesWithoutState},
		{number: 112, what: "1000 producer ids that write nothing", run: idsWithoutState},
	})
}

// fullGroup has three members join at once; one is refused.
func fullGroup(h *hostile) {
	h.coordinator(0, h.topic)
	got := make(chan outcome, 3)
	for range cap(got) {
		c := h.dial()
		go func() {
			n, _ := h.outcome(c, frame(joining(h.topic)))
			got <- n
		}()
	}
	counts := map[outcome]int{}
	for range cap(got) {
		counts[<-got]++
	}
	if counts[code(81)] != 1 || counts[code(0)] != 2 {
		h.Errorf("%v, want one GROUP_MAX_SIZE_REACHED", counts)
	}
}

// namesWithoutState: asking who coordinates a group does not make it.
func namesWithoutState(h *hostile) {
	h.coordinator(0, h.topic)
	r := kmsg.NewPtrFindCoordinatorRequest()
	r.Version = 4
	for i := range 10_000 {
		r.CoordinatorKeys = append(r.CoordinatorKeys, h.topic+string(rune('a'+i%26))+time.Duration(i).String())
	}
	if answers := h.must(r).(*kmsg.FindCoordinatorResponse).Coordinators; len(answers) != len(r.CoordinatorKeys) {
		h.Errorf("%d answers for %d names", len(answers), len(r.CoordinatorKeys))
	}
	for _, g := range h.must(kmsg.NewPtrListGroupsRequest()).(*kmsg.ListGroupsResponse).Groups {
		if strings.HasPrefix(g.Group, h.topic) {
			h.Errorf("group %s was made", g.Group)
		}
	}
}

// idsWithoutState: a partition knows a producer once it has written.
func idsWithoutState(h *hostile) {
	var last int64
	for range 1000 {
		last = h.producerID()
	}
	if n, _ := h.sequence(last, 0, 0, 1); n != 0 {
		h.Fatalf("error code %d", n)
	}
	r := kmsg.NewPtrDescribeProducersRequest()
	topic := kmsg.NewDescribeProducersRequestTopic()
	topic.Topic, topic.Partitions = h.topic, []int32{0}
	r.Topics = []kmsg.DescribeProducersRequestTopic{topic}
	if active := h.must(r).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers; len(active) != 1 {
		h.Errorf("%d producers, want the one that wrote", len(active))
	}
}

// fetch is a Fetch v11 of one partition of the row's topic, changed.
func (h *hostile) fetch(change func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition)) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes, partition.CurrentLeaderEpoch = 1<<20, -1
	r.Version, r.MaxBytes, r.SessionEpoch, r.ReplicaID = 11, 1<<20, -1, -1
	if change != nil {
		change(r, &partition)
	}
	topic := kmsg.NewFetchRequestTopic()
	if topic.Topic = h.topic; r.Version >= 13 {
		topic.TopicID = h.topicID
	}
	topic.Partitions = []kmsg.FetchRequestTopicPartition{partition}
	r.Topics = append(r.Topics, topic)
	return r
}

func fetched(change func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition)) func(*hostile) []byte {
	return func(h *hostile) []byte { return frame(h.fetch(change)) }
}
