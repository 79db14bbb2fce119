package broker

import (
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
			if asked.ConfigNames == nil || slices.Contains(asked.ConfigNames, c.Name) {
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
		return describeTopic(t.Configs, b.settings()), nil
	case kmsg.ConfigResourceTypeBroker:
		if asked.ResourceName == "" {
			return describeAllBrokers(b.settings()), nil
		}
		if err := b.thisNode(asked.ResourceName); err != nil {
			return nil, err
		}
		return describeBroker(b.settings()), nil
	}
	return nil, refuse(kerr.InvalidRequest, "Unsupported resource type: %v", asked.ResourceType)
}

// thisNode checks that a broker resource is named by this node's id.
func (b *Broker) thisNode(name string) error {
	if name != strconv.Itoa(int(b.nodeID())) {
		return refuse(kerr.InvalidRequest, "Unexpected broker id, expected %d or empty string, but received %s", b.nodeID(), name)
	}
	return nil
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
		found := fallbacks(k, s)
		if value, ok := configs[k.name]; ok {
			found = slices.Insert(found, 0, source(k.name, value, kmsg.ConfigSourceDynamicTopicConfig))
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

// fallbacks lists the broker settings behind a topic setting, strongest first,
// each in its own unit. As in Kafka nothing is told of those that come before
// the topic setting's main synonym: log.retention.hours alone is in force, but
// retention.ms is told without it and as a default. Source: ConfigHelper.configSynonyms.
func fallbacks(k *key[topicSettings], s *settings) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	var found []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
	for _, layer := range s.layers() {
		for _, fallback := range k.synonyms {
			if value, ok := layer.values[fallback.name]; ok {
				found = append(found, source(fallback.name, value, layer.source))
			}
		}
	}
	for _, fallback := range k.synonyms {
		if b := brokerKeys.byName[fallback.name]; !b.null {
			found = append(found, source(b.name, b.def, kmsg.ConfigSourceDefaultConfig))
		}
	}
	for len(found) > 0 && found[0].Name != k.synonyms[0].name {
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
		var found []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
		for _, layer := range s.layers() {
			if value, ok := layer.values[k.name]; ok {
				found = append(found, source(k.name, value, layer.source))
			}
		}
		if !k.null {
			found = append(found, source(k.name, k.def, kmsg.ConfigSourceDefaultConfig))
		}
		all = append(all, describeKey(k, found, !k.dynamic))
	}
	return all
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
