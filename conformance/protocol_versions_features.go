package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var protocolVersionsFeatures = Case{
	ID:          "protocol/versions/4",
	Title:       "finalized features lie within the supported ones and have an epoch; version 3 hides minimum 0",
	Requirement: "KIP-584; KAFKA-17011",
	Level:       Must,
	Needs:       []Need{api(keyApiVersions, 4)},
	Run: func(t *T) {
		resp := askOn[*kmsg.ApiVersionsResponse](t, t.dialNode(t.any()), t.versionsRequest(4))
		t.code("ApiVersions 4", resp.ErrorCode, codeNone)
		t.record("epoch of the finalized features", resp.FinalizedFeaturesEpoch >= 0, "0 or more", fmt.Sprint(resp.FinalizedFeaturesEpoch))
		supported := map[string]kmsg.ApiVersionsResponseSupportedFeature{}
		for _, f := range resp.SupportedFeatures {
			supported[f.Name] = f
		}
		for _, f := range resp.FinalizedFeatures {
			s, ok := supported[f.Name]
			t.record(f.Name, ok && f.MaxVersionLevel <= s.MaxVersion && f.MinVersionLevel >= s.MinVersion,
				fmt.Sprintf("within %d-%d", s.MinVersion, s.MaxVersion), fmt.Sprintf("%d-%d", f.MinVersionLevel, f.MaxVersionLevel))
		}
		old := askOn[*kmsg.ApiVersionsResponse](t, t.dialNode(t.any()), t.versionsRequest(3))
		for _, f := range old.SupportedFeatures {
			t.record(f.Name+" at version 3", f.MinVersion > 0, "minimum above 0", fmt.Sprint(f.MinVersion))
		}
	},
}
