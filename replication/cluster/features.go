package cluster

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Names of features.
const (
	TransactionVersion = "transaction.version"
	MetadataVersion    = "metadata.version"
)

// A FeatureRange is the levels of a feature this program supports.
type FeatureRange struct{ Min, Max int16 }

// SupportedFeatures are the features that ApiVersions advertises.
//
// Level 30 of metadata.version is 4.3-IV0, what Kafka 4.3.1 finalizes on a new
// cluster; level 7 is 3.3-IV3, the oldest that Kafka 4 knows. Source:
// org.apache.kafka.server.common.MetadataVersion, TransactionVersion (4.3).
func SupportedFeatures() map[string]FeatureRange {
	return map[string]FeatureRange{
		MetadataVersion:    {Min: 7, Max: 30},
		TransactionVersion: {Min: 0, Max: 2},
	}
}

// defaultFeatures are finalized when a cluster is founded.
func defaultFeatures() map[string]int16 {
	return map[string]int16{MetadataVersion: 30, TransactionVersion: 2}
}

// checkFeature judges a level of a feature.
//
// Errors: INVALID_UPDATE_VERSION. Source: KIP-584,
// org.apache.kafka.controller.FeatureControlManager.
func checkFeature(name string, level int16) error {
	supported, ok := SupportedFeatures()[name]
	if !ok {
		return fmt.Errorf("feature %q is not supported: %w", name, kerr.InvalidUpdateVersion)
	}
	if level < supported.Min || level > supported.Max {
		return fmt.Errorf("level %d of feature %s, want %d to %d: %w", level, name, supported.Min, supported.Max, kerr.InvalidUpdateVersion)
	}
	return nil
}

// decideFeature finalizes a level. The level it has already changes nothing.
//
// Errors: INVALID_UPDATE_VERSION, also for a metadata.version below the present
// one, since older programs might not read what was written since.
func decideFeature(img *Image, name string, level int16) ([]command, error) {
	if err := checkFeature(name, level); err != nil {
		return nil, err
	}
	present := img.Feature(name)
	if level == present {
		return nil, nil
	}
	if name == MetadataVersion && level < present {
		return nil, fmt.Errorf("metadata.version is %d and cannot go down to %d: %w", present, level, kerr.InvalidUpdateVersion)
	}
	return []command{{SetFeature: &setFeature{Name: name, Level: level}}}, nil
}
