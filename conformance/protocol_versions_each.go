package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var protocolVersionsEach = Case{
	ID:          "protocol/versions/2",
	Title:       "every version of ApiVersions from 0 tells the same keys",
	Requirement: "KIP-35, KIP-511; clients begin at 0, 2, 3, 4 and 5",
	Level:       Must,
	Run: func(t *T) {
		own := t.cluster.apis[keyApiVersions]
		t.equal("lowest version", own.min, 0)
		for version := range min(own.max, 4) + 1 {
			resp := askOn[*kmsg.ApiVersionsResponse](t, t.dialNode(t.any()), t.versionsRequest(version))
			t.code(fmt.Sprintf("ApiVersions %d", version), resp.ErrorCode, codeNone)
			t.equal("keys told", len(resp.ApiKeys), len(t.cluster.apis))
		}
	},
}
