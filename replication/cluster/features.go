package cluster

import (
	"context"
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

// Types of a feature's update. Source: org.apache.kafka.clients.admin.FeatureUpdate.UpgradeType.
const (
	Upgrade         int8 = 1
	SafeDowngrade   int8 = 2
	UnsafeDowngrade int8 = 3
)

// A FeatureUpdate asks for a level of a feature; level 0 takes it off.
type FeatureUpdate struct {
	Name  string `json:"name"`
	Level int16  `json:"level"`
	Type  int8   `json:"type"`
}

// featureUpdates are made together or not at all.
type featureUpdates struct {
	Updates      []FeatureUpdate `json:"updates"`
	ValidateOnly bool            `json:"validateOnly,omitempty"`
}

// UpdateFeatures finalizes levels of features.
//
// Errors: INVALID_UPDATE_VERSION, NOT_CONTROLLER.
func (m *Metadata) UpdateFeatures(ctx context.Context, updates []FeatureUpdate, validateOnly bool) error {
	_, err := m.change(ctx, change{Features: &featureUpdates{updates, validateOnly}})
	return err
}

// decideUpdates decides all updates or refuses all. node is this one, the controller.
func decideUpdates(img *Image, asked featureUpdates, node int32) (commands []command, err error) {
	for _, u := range asked.Updates {
		if why := u.refusal(img, node); why != "" {
			return nil, told(kerr.InvalidUpdateVersion, "The update failed for all features since the following feature had an error: %s", why)
		}
		if img.Feature(u.Name) != u.Level {
			commands = append(commands, command{SetFeature: &setFeature{Name: u.Name, Level: u.Level}})
		}
	}
	if asked.ValidateOnly {
		commands = nil
	}
	return commands, nil
}

// refusal says in the words of Kafka's controller why an update cannot be made; "":
// it can. A metadata.version never goes down: level 30 changed what the metadata
// holds. Source: org.apache.kafka.controller.FeatureControlManager.updateFeature.
func (u FeatureUpdate) refusal(img *Image, node int32) string {
	supported, known := SupportedFeatures()[u.Name]
	present, why := img.Feature(u.Name), ""
	switch {
	case u.Type < Upgrade || u.Type > UnsafeDowngrade:
		why = "The controller does not support the given upgrade type."
	case u.Level < 0:
		why = "A feature version cannot be less than 0."
	case !known && u.Level == 0:
		why = fmt.Sprintf("Feature %s not found.", u.Name)
	case !known:
		why = fmt.Sprintf("Local controller %d does not support this feature.", node)
	case u.Level < supported.Min || u.Level > supported.Max:
		why = fmt.Sprintf("Local controller %d only supports versions %d-%d", node, supported.Min, supported.Max)
	case u.Level < present && u.Type == Upgrade:
		why = "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
	case u.Level > present && u.Type != Upgrade:
		why = "Can't downgrade to a newer version."
	case u.Level < present && u.Name == MetadataVersion:
		return u.refusalToGoDown(present)
	default:
		return ""
	}
	return fmt.Sprintf("Invalid update version %d for feature %s. %s", u.Level, u.Name, why)
}

func (u FeatureUpdate) refusalToGoDown(present int16) string {
	why := "Refusing to perform the requested downgrade because it might delete metadata information."
	if u.Type == UnsafeDowngrade {
		why = "Unsafe metadata downgrade is not supported in this version."
	}
	return fmt.Sprintf("Unsupported metadata.version downgrade from %d to %d. %s", present, u.Level, why)
}
