package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A follower may answer reads itself (KIP-392), so only a broker that has nothing
// is asked.
var fetchLeaderNamed = Case{
	ID:          "fetch/leader/1",
	Title:       "a fetch from a broker without a replica names the leader and where it is, from v16 on",
	Requirement: "KIP-951; KafkaApis.handleFetchRequest; Fetch 16",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 16), {Brokers: 3}},
	Run: func(t *T) {
		one := t.misled()[1]
		for version, want := range map[int16]endpoint{
			t.newest(kmsg.NewPtrFetchRequest(), -1): t.endpointOf(one.partition),
			16:                                      t.endpointOf(one.partition),
			15:                                      {-1, -1, nil},
		} {
			what := fmt.Sprintf("%s in version %d", one.what, version)
			resp := ask[*kmsg.FetchResponse](t, one.node, t.fetchRequest(one.partition, fetchCall{version: &version}))
			answer := t.readFetch(resp)
			t.code(what, answer.ErrorCode, codeNotLeaderOrFollower)
			leader := endpoint{answer.CurrentLeader.LeaderID, answer.CurrentLeader.LeaderEpoch, nil}
			for _, b := range resp.Brokers {
				leader.at = append(leader.at, fmt.Sprintf("%d at %s:%d", b.NodeID, b.Host, b.Port))
			}
			t.equal(what+", leader", leader, want)
		}
	},
}
