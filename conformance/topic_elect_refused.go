package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicElectRefused = Case{
	ID:          "topic/elect/1",
	Title:       "an election that is not needed is ELECTION_NOT_NEEDED, of either type; one of what does not exist is refused",
	Requirement: "KIP-183, KIP-460; ReplicationControlManager.electLeader",
	Level:       Must,
	Needs:       []Need{api(keyElectLeaders, 1)},
	Run: func(t *T) {
		led := t.oneLog()
		t.code("preferred", t.electLeader(electPreferred, led), codeElectionNotNeeded)
		t.code("unclean", t.electLeader(electUnclean, led), codeElectionNotNeeded)
		t.code("unknown partition", t.electLeader(electPreferred, led.topic.at(1)), codeUnknownTopicOrPartition)
		ghost := &topic{name: t.name("ghost")}
		t.code("unknown topic", t.electLeader(electPreferred, ghost.at(0)), codeUnknownTopicOrPartition)
		t.equal("leader epoch afterwards", t.metadata(t.any(), led.topic.name).Partitions[0].LeaderEpoch, led.topic.epochs[0])
	},
}

// The types of elections. Source: org.apache.kafka.common.ElectionType.
const (
	electPreferred int8 = 0
	electUnclean   int8 = 1
)

// electLeader asks for an election in one partition.
func (t *T) electLeader(kind int8, p partition) int16 {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version = t.newest(req, -1)
	req.ElectionType, req.TimeoutMillis = kind, 10000
	one := kmsg.NewElectLeadersRequestTopic()
	one.Topic, one.Partitions = p.topic.name, []int32{p.index}
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.ElectLeadersResponse](t, t.any(), req)
	t.mustCode("ElectLeaders", resp.ErrorCode, codeNone)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("ElectLeaders", "1 partition answered", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}
