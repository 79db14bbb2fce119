package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ConfigRules is what the table of configurations knows. Its methods are pure
// and do not block: they run while the metadata is being decided.
type ConfigRules interface {
	// Validate judges all dynamic values that a resource would have.
	// Errors: INVALID_CONFIG.
	Validate(r Resource, values map[string]string) error
	// List says whether a configuration is a list, and the list in force where
	// the resource sets none.
	List(r Resource, name string) (value string, ok bool)
}

// anything is the rules where none are given.
type anything struct{}

func (anything) Validate(Resource, map[string]string) error { return nil }
func (anything) List(Resource, string) (string, bool)       { return "", false }

// A ConfigOpKind is what an operation does, by Kafka's numbers (KIP-339).
type ConfigOpKind int8

// Kinds of operations. Source: org.apache.kafka.clients.admin.AlterConfigOp.OpType.
const (
	OpSet      ConfigOpKind = 0
	OpDelete   ConfigOpKind = 1
	OpAppend   ConfigOpKind = 2
	OpSubtract ConfigOpKind = 3
)

// A ConfigOp changes one configuration.
type ConfigOp struct {
	Name  string
	Kind  ConfigOpKind
	Value *string // nil only for OpDelete
}

// decideConfigs applies operations to what a resource has.
//
// Errors: UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, INVALID_CONFIG. Source:
// KIP-339, org.apache.kafka.controller.ConfigurationControlManager.
func decideConfigs(img *Image, rules ConfigRules, r Resource, ops []ConfigOp) ([]command, error) {
	if err := checkResource(img, r); err != nil {
		return nil, err
	}
	before, _ := img.Configs(r)
	after := maps.Clone(before)
	if after == nil {
		after = map[string]string{}
	}
	seen := map[string]bool{}
	for _, op := range ops {
		if seen[op.Name] {
			return nil, fmt.Errorf("configuration %s is named twice: %w", op.Name, kerr.InvalidRequest)
		}
		seen[op.Name] = true
		if err := op.apply(rules, r, after); err != nil {
			return nil, err
		}
	}
	return decideValues(rules, r, before, after)
}

// decideReplaced gives a resource these values and no others.
//
// Errors: as decideConfigs.
func decideReplaced(img *Image, rules ConfigRules, r Resource, values map[string]string) ([]command, error) {
	if err := checkResource(img, r); err != nil {
		return nil, err
	}
	before, _ := img.Configs(r)
	return decideValues(rules, r, before, values)
}

// decideValues judges all values that a resource would have.
func decideValues(rules ConfigRules, r Resource, before, after map[string]string) ([]command, error) {
	if err := rules.Validate(r, after); err != nil {
		return nil, err
	}
	change := difference(before, after)
	if len(change) == 0 {
		return nil, nil
	}
	return []command{{SetConfigs: &setConfigs{Resource: r, Values: change}}}, nil
}

func checkResource(img *Image, r Resource) error {
	switch r.Type {
	case TopicResource:
		if _, ok := img.Topic(r.Name); !ok {
			return told(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.Name)
		}
	case BrokerResource:
		if r.Name == "" {
			return nil
		}
		id, err := strconv.ParseInt(r.Name, 10, 32)
		if err != nil {
			return fmt.Errorf("broker %q, want a number or nothing: %w", r.Name, kerr.InvalidRequest)
		}
		if _, ok := img.Broker(int32(id)); !ok {
			return fmt.Errorf("broker %d is not registered: %w", id, kerr.InvalidRequest)
		}
	default:
		return fmt.Errorf("resource type %d has no dynamic configurations: %w", r.Type, kerr.InvalidRequest)
	}
	return nil
}

// apply changes values, which are the caller's own.
func (op ConfigOp) apply(rules ConfigRules, r Resource, values map[string]string) error {
	if op.Name == "" && r.Type == BrokerResource {
		return fmt.Errorf("configuration without a name: %w", kerr.InvalidRequest)
	}
	if op.Kind == OpDelete {
		delete(values, op.Name)
		return nil
	}
	if op.Value == nil {
		return told(kerr.InvalidRequest, "Null value not supported for : %s", op.Name)
	}
	if op.Kind == OpSet {
		values[op.Name] = *op.Value
		return nil
	}
	if op.Kind != OpAppend && op.Kind != OpSubtract {
		return fmt.Errorf("operation %d on %s is unknown: %w", op.Kind, op.Name, kerr.InvalidRequest)
	}
	fallback, ok := rules.List(r, op.Name)
	if !ok {
		return notAList(r, op)
	}
	have, ok := values[op.Name]
	if !ok {
		have = fallback
	}
	values[op.Name] = editList(have, *op.Value, op.Kind == OpAppend)
	return nil
}

// told is a wire error that tells the client these words, which are Kafka's.
func told(code *kerr.Error, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), code)
}

// notAList says in Kafka's words that an operation needs a list.
func notAList(r Resource, op ConfigOp) error {
	word := map[ConfigOpKind]string{OpAppend: "append", OpSubtract: "subtract"}[op.Kind]
	if r.Type == BrokerResource {
		return told(kerr.InvalidConfig, "Config value %s is not allowed for config key: %s", word, op.Name)
	}
	return told(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", strings.ToUpper(word), op.Name)
}

// editList adds the elements of change that list lacks, or removes those it has.
func editList(list, change string, add bool) string {
	elements := splitList(list)
	for _, e := range splitList(change) {
		at := slices.Index(elements, e)
		switch {
		case add && at < 0:
			elements = append(elements, e)
		case !add && at >= 0:
			elements = slices.Delete(elements, at, at+1)
		}
	}
	return strings.Join(elements, ",")
}

func splitList(list string) []string {
	var elements []string
	for e := range strings.SplitSeq(list, ",") {
		if e = strings.TrimSpace(e); e != "" {
			elements = append(elements, e)
		}
	}
	return elements
}

// difference is what turns before into after; nil removes.
func difference(before, after map[string]string) map[string]*string {
	change := map[string]*string{}
	for name := range before {
		if _, ok := after[name]; !ok {
			change[name] = nil
		}
	}
	for name, value := range after {
		if have, ok := before[name]; !ok || have != value {
			change[name] = &value
		}
	}
	return change
}
