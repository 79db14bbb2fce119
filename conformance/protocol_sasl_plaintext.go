package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var protocolSaslPlaintext = Case{
	ID:          "protocol/sasl/1",
	Title:       "SaslHandshake where nobody logs in is ILLEGAL_SASL_STATE, at both versions, and the connection goes on",
	Requirement: "KIP-43, KIP-152; KafkaApis.handleSaslHandshakeRequest",
	Level:       Should,
	Needs:       []Need{api(int16(kmsg.SASLHandshake), 0)},
	Run: func(t *T) {
		c := t.dialNode(t.any())
		for version := int16(0); version <= 1; version++ {
			req := kmsg.NewPtrSASLHandshakeRequest()
			req.Version, req.Mechanism = version, "PLAIN"
			t.code("SaslHandshake", askOn[*kmsg.SASLHandshakeResponse](t, c, req).ErrorCode, codeIllegalSaslState)
		}
		t.code("ApiVersions behind it", askOn[*kmsg.ApiVersionsResponse](t, c, t.versionsRequest(3)).ErrorCode, codeNone)
	},
}
