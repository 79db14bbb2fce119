package conformance

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var protocolVersionsUnknown = Case{
	ID:          "protocol/versions/1",
	Title:       "ApiVersions at an unknown version is UNSUPPORTED_VERSION in the shape of version 0",
	Requirement: "KIP-511; ApiVersionsRequest.getErrorResponse",
	Level:       Must,
	Run: func(t *T) {
		c := t.dialNode(t.any())
		req := t.versionsRequest(3)
		frame := c.formatter.AppendRequest(nil, req, 77)[4:]
		binary.BigEndian.PutUint16(frame[2:], 99)
		if err := c.sendRaw(frame); err != nil {
			t.fatalf("ApiVersions 99", "sent", "%v", err)
		}
		answer, err := c.readFrame()
		if err != nil {
			t.fatalf("ApiVersions 99", "an answer", "%v", err)
		}
		old := kmsg.NewPtrApiVersionsRequest()
		old.Version = 0
		resp, err := decode(old, 77, answer)
		if err != nil {
			t.fatalf("the answer at version 0", "it decodes", "%v", err)
		}
		v := resp.(*kmsg.ApiVersionsResponse)
		t.code("its code", v.ErrorCode, codeUnsupportedVersion)
		if t.equal("keys told", len(v.ApiKeys), 1) {
			k := v.ApiKeys[0]
			own := t.cluster.apis[keyApiVersions]
			t.equal("key and range", fmt.Sprint(k.ApiKey, k.MinVersion, k.MaxVersion), fmt.Sprint(keyApiVersions, own.min, own.max))
		}
		again := askOn[*kmsg.ApiVersionsResponse](t, c, t.versionsRequest(3))
		t.code("ApiVersions 3 on the same connection", again.ErrorCode, codeNone)
	},
}
