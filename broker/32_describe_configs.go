package broker

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// DescribeConfigs: v1-4
//
//   - Topics and brokers; each value with its source and, if asked for, the
//     places it may come from, strongest first.
//   - The broker "" stands for what AlterConfigs set for all brokers.
//   - Sensitive values are null.
//
// Versions: v1 source and synonyms (KIP-226); v3 type and documentation
// (KIP-569); v4 flexible. Source: ConfigHelper.
func (b *Broker) describeConfigs(_ context.Context, req *kmsg.DescribeConfigsRequest, resp *kmsg.DescribeConfigsResponse) error {
	for _, asked := range req.Resources {
		answer := kmsg.NewDescribeConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = asked.ResourceType, asked.ResourceName
		configs, err := b.describeResource(asked)
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		for _, c := range configs {
			if len(asked.ConfigNames) == 0 || slices.Contains(asked.ConfigNames, c.Name) {
				if !req.IncludeSynonyms {
					c.ConfigSynonyms = nil
				}
				if !req.IncludeDocumentation {
					c.Documentation = nil
				}
				answer.Configs = append(answer.Configs, c)
			}
		}
		resp.Resources = append(resp.Resources, answer)
	}
	return nil
}

// describeResource lists all settings of a topic or a broker.
func (b *Broker) describeResource(asked kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := cluster.CheckTopicName(asked.ResourceName); err != nil {
			return nil, err
		}
		t, ok := b.image().Topic(asked.ResourceName)
		if !ok {
			return nil, unknownTopic(asked.ResourceName)
		}
		all := describeTopic(t.Configs, b.settings())
		slices.SortFunc(all, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int {
			return cmp.Compare(slices.Index(topicOrder, a.Name), slices.Index(topicOrder, b.Name))
		})
		return all, nil
	case kmsg.ConfigResourceTypeBroker:
		if asked.ResourceName == "" {
			return describeAllBrokers(b.settings()), nil
		}
		if err := b.thisNode(asked.ResourceName, "Broker", " or empty string"); err != nil {
			return nil, err
		}
		return describeBroker(b.settings()), nil
	}
	return nil, refuse(kerr.InvalidRequest, "Unsupported resource type: %v", asked.ResourceType)
}

// thisNode checks that a broker resource is named by this node's id. Kafka's words
// differ between describing and altering.
func (b *Broker) thisNode(name, what, otherwise string) error {
	if _, err := strconv.ParseInt(name, 10, 32); err != nil {
		return refuse(kerr.InvalidRequest, "%s id must be an integer, but it is: %s", what, name)
	}
	if name != strconv.Itoa(int(b.nodeID())) {
		return refuse(kerr.InvalidRequest, "Unexpected broker id, expected %d%s, but received %s", b.nodeID(), otherwise, name)
	}
	return nil
}

// topicOrder is the order in which Kafka 4.3 describes the settings of a topic,
// that of a hash table; CreateTopics tells them by name. Tools keep parts of the
// order: kafka-topics --describe.
var topicOrder = []string{
	"compression.type", "remote.log.delete.on.disable", "leader.replication.throttled.replicas", "remote.storage.enable", "min.insync.replicas",
	"segment.jitter.ms", "remote.log.copy.disable", "local.retention.ms", "cleanup.policy", "flush.ms", "follower.replication.throttled.replicas",
	"compression.lz4.level", "segment.bytes", "retention.ms", "compression.gzip.level", "flush.messages", "compression.zstd.level",
	"max.compaction.lag.ms", "file.delete.delay.ms", "max.message.bytes", "min.compaction.lag.ms", "message.timestamp.type", "local.retention.bytes",
	"preallocate", "index.interval.bytes", "min.cleanable.dirty.ratio", "unclean.leader.election.enable", "retention.bytes", "delete.retention.ms",
	"message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "segment.ms", "segment.index.bytes",
}

// describeTopic lists a topic's settings: its own configs, what the broker's
// settings give, the defaults.
func describeTopic(configs map[string]string, s *settings) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for i := range topicKeys.keys {
		k := &topicKeys.keys[i]
		if k.internal {
			continue
		}
		found := fallbacks(k.synonyms, s)
		if value, ok := configs[k.name]; ok {
			found = slices.Insert(found, 0, source(k.name, k.plain(value), kmsg.ConfigSourceDynamicTopicConfig))
		}
		c := describeKey(k, found, false)
		if _, ok := configs[k.name]; !ok {
			if value, _, ok := s.topicDefault(k); ok {
				c.Value = &value
			}
		}
		all = append(all, c)
	}
	return all
}

// fallbacks lists where a setting's synonyms have values, strongest first, each
// in its own unit. As in Kafka nothing is told of those that come before
// the first synonym: log.retention.hours alone is in force, but
// retention.ms is told without it and as a default. Source: ConfigHelper.configSynonyms.
func fallbacks(synonyms []synonym, s *settings) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	var found []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
	for _, layer := range s.layers() {
		for _, fallback := range synonyms {
			if value, ok := layer.values[fallback.name]; ok {
				found = append(found, source(fallback.name, value, layer.source))
			}
		}
	}
	for _, fallback := range synonyms {
		if b := brokerKeys.byName[fallback.name]; !b.null {
			found = append(found, source(b.name, b.def, kmsg.ConfigSourceDefaultConfig))
		}
	}
	for len(found) > 0 && found[0].Name != synonyms[0].name {
		found = found[1:]
	}
	return found
}

// describeBroker lists this broker's settings.
func describeBroker(s *settings) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for i := range brokerKeys.keys {
		k := &brokerKeys.keys[i]
		if k.internal {
			continue
		}
		all = append(all, describeKey(k, fallbacks(inUnits(k.name), s), !k.dynamic))
	}
	for _, layer := range s.layers() {
		for _, name := range unknownNames(layer.values) {
			if !slices.ContainsFunc(all, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == name }) {
				all = append(all, describeUnknown(name, layer.source))
			}
		}
	}
	return all
}

// inUnits lists a broker setting and those that say the same in a larger unit,
// from this one on. Source: DynamicBrokerConfig.brokerConfigSynonyms.
func inUnits(name string) []synonym {
	for i := range topicKeys.keys {
		units := topicKeys.keys[i].synonyms
		if at := slices.IndexFunc(units, func(s synonym) bool { return s.name == name }); at >= 0 {
			return units[at:]
		}
	}
	return same(name)
}

// describeUnknown tells that a setting was set which this broker does not know.
// It may be a secret of a plug-in, as in Kafka.
func describeUnknown(name string, from kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Source, c.ReadOnly, c.IsSensitive = name, from, true, true
	told := source(name, "", from)
	told.Value = nil
	c.ConfigSynonyms = append(c.ConfigSynonyms, told)
	return c
}

// describeAllBrokers lists what was set for all brokers together.
func describeAllBrokers(s *settings) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for i := range brokerKeys.keys {
		k := &brokerKeys.keys[i]
		if value, ok := s.dynamicDefault[k.name]; ok {
			found := source(k.name, value, kmsg.ConfigSourceDynamicDefaultBrokerConfig)
			all = append(all, describeKey(k, []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{found}, false))
		}
	}
	for _, name := range unknownNames(s.dynamicDefault) {
		all = append(all, describeUnknown(name, kmsg.ConfigSourceDynamicDefaultBrokerConfig))
	}
	return all
}

func source(name, value string, from kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, from
	return s
}

// describeKey describes a setting by the places it may come from, of which the
// first is in force.
func describeKey[S any](k *key[S], found []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym, readOnly bool) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.ReadOnly, c.IsSensitive = k.name, readOnly, k.sensitive
	c.ConfigType, c.Documentation = k.typ, &k.doc
	c.Source = kmsg.ConfigSourceDefaultConfig
	if k.sensitive {
		for i := range found {
			found[i].Value = nil
		}
	}
	if !k.null && !k.sensitive {
		c.Value = &k.def
	}
	if len(found) > 0 {
		c.Value, c.Source = found[0].Value, found[0].Source
	}
	c.ConfigSynonyms = found
	return c
}
