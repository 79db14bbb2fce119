package conformance

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// FirstRelease is the first release of Kafka that speaks all that a broker does, such
// as "v4.1". Of a broker that speaks what no release does it is franz-go's guess.
func FirstRelease(resp *kmsg.ApiVersionsResponse) string {
	for _, name := range slices.Backward(kversion.VersionStrings()) {
		release := kversion.FromString(name)
		if !slices.ContainsFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
			known, ok := release.LookupMaxKeyVersion(k.ApiKey)
			return !ok || known < k.MaxVersion
		}) {
			return name
		}
	}
	guess := kversion.FromApiVersionsResponse(resp)
	return guess.VersionGuess()
}
