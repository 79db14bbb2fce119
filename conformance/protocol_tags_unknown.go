package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var protocolTagsUnknown = Case{
	ID:          "protocol/tags/1",
	Title:       "tagged fields nobody knows are skipped",
	Requirement: "KIP-482",
	Level:       Must,
	Needs:       []Need{api(keyMetadata, 9)},
	Run: func(t *T) {
		tp := t.newTopic(1)
		req := kmsg.NewPtrMetadataRequest()
		req.Version = t.newest(req, -1)
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = &tp.name
		one.UnknownTags.Set(31, []byte("inside"))
		req.Topics = append(req.Topics, one)
		req.UnknownTags.Set(1000, []byte("outside"))
		resp := ask[*kmsg.MetadataResponse](t, t.any(), req)
		if t.equal("topics", len(resp.Topics), 1) {
			t.code("its code", resp.Topics[0].ErrorCode, codeNone)
		}
	},
}
