package conformance

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicConfigList = Case{
	ID:          "topic/config/2",
	Title:       "ListConfigResources names topics and brokers by type, and refuses a type that nobody knows",
	Requirement: "KIP-1142; ListConfigResources 1",
	Level:       Must,
	Needs:       []Need{{Key: int16(kmsg.ListConfigResources), Version: 1}},
	Run: func(t *T) {
		tp := t.newTopic(1)
		list := func(types ...kmsg.ConfigResourceType) (found []string, code int16) {
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.Version = t.newest(req, -1)
			for _, one := range types {
				req.ResourceTypes = append(req.ResourceTypes, int8(one))
			}
			resp := ask[*kmsg.ListConfigResourcesResponse](t, t.any(), req)
			for _, one := range resp.ConfigResources {
				found = append(found, fmt.Sprintf("%v %s", kmsg.ConfigResourceType(one.Type), one.Name))
			}
			slices.Sort(found)
			return found, resp.ErrorCode
		}
		topic := fmt.Sprintf("%v %s", kmsg.ConfigResourceTypeTopic, tp.name)
		broker := fmt.Sprintf("%v %d", kmsg.ConfigResourceTypeBroker, t.any())
		logger := fmt.Sprintf("%v %d", kmsg.ConfigResourceTypeBrokerLogger, t.any())
		found, code := list(kmsg.ConfigResourceTypeTopic)
		t.code("topics", code, codeNone)
		t.equal("the topic among topics", slices.Contains(found, topic), true)
		t.equal("a broker among topics", slices.Contains(found, broker), false)
		found, code = list()
		t.code("all", code, codeNone)
		t.equal("the topic among all", slices.Contains(found, topic), true)
		t.equal("the broker among all", slices.Contains(found, broker), true)
		t.equal("its loggers among all", slices.Contains(found, logger), true)
		found, code = list(kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceType(99))
		t.code("a type that nobody knows", code, codeUnsupportedVersion)
		t.equal("what it lists", len(found), 0)
	},
}
