package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicMetadataCluster = Case{
	ID:          "topic/metadata/2",
	Title:       "DescribeCluster agrees with Metadata on cluster id and brokers",
	Requirement: "KIP-700, KIP-919",
	Level:       Must,
	Needs:       []Need{{Key: int16(kmsg.DescribeCluster), Version: 1}},
	Run: func(t *T) {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.Version = t.newest(req, -1)
		req.EndpointType = 1
		resp := ask[*kmsg.DescribeClusterResponse](t, t.any(), req)
		t.code("DescribeCluster", resp.ErrorCode, codeNone)
		t.equal("cluster id", resp.ClusterID, t.cluster.id)
		t.equal("endpoint type", resp.EndpointType, 1)
		brokers := map[int32]string{}
		for _, b := range resp.Brokers {
			brokers[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
		}
		t.equal("brokers", brokers, t.cluster.brokers)
		t.record("controller", t.cluster.brokers[resp.ControllerID] != "", "a broker of the cluster", fmt.Sprint(resp.ControllerID))
	},
}
