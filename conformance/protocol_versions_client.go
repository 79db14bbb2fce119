package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var protocolVersionsClient = Case{
	ID:          "protocol/versions/3",
	Title:       "ApiVersions 3 with a client name that is no name is INVALID_REQUEST",
	Requirement: "KIP-511; ApiVersionsRequest.isValid",
	Level:       Must,
	Needs:       []Need{api(keyApiVersions, 3)},
	Run: func(t *T) {
		for _, name := range []string{"", "-begins-with-a-dash", "white space"} {
			req := t.versionsRequest(3)
			req.ClientSoftwareName = name
			resp := askOn[*kmsg.ApiVersionsResponse](t, t.dialNode(t.any()), req)
			t.code("client software name "+name, resp.ErrorCode, codeInvalidRequest)
		}
	},
}
