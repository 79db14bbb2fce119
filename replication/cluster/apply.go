package cluster

import (
	"maps"
	"slices"
	"strconv"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication/shard"
)

// A part is a piece of the image that the state file holds as one entry.
type part struct{ bucket, key string }

// Buckets of parts.
const (
	brokerParts = "brokers"
	leftParts   = "left"
	topicParts  = "topics"
	deadParts   = "dead"
	configParts = "configs"
	quotaParts  = "quotas"
)

// A view is the image while commands are applied to it.
//
// Only the holder of the shard's turn writes; deciding reads under the view lock.
type view struct {
	image  *Image
	shared bool              // image was published: copy before writing
	dirty  map[part]struct{} // changed since the state file was written
}

// Resume implements shard.Resumer.
func (v *view) Resume() int64 { return max(v.image.Offset, 0) }

// Apply implements shard.View.
func (v *view) Apply(b shard.Batch) error {
	if v.shared {
		v.image, v.shared = v.image.clone(), false
	}
	for _, r := range b.Records {
		c, err := decodeCommand(r.Value)
		if err != nil {
			return err
		}
		v.image.apply(c, r.Offset, v.dirty)
	}
	v.image.Offset = b.NextOffset
	return nil
}

// apply installs a command that was decided on the state before it. It cannot
// fail: a command about what does not exist changes nothing. The maps of i are
// the caller's own; what they point to is shared and is replaced, not changed.
func (i *Image) apply(c command, offset int64, dirty map[part]struct{}) {
	switch {
	case c.Found != nil:
		i.ClusterID = c.Found.ClusterID
		for name, level := range c.Found.Features {
			i.finalize(name, level)
		}
	case c.Register != nil:
		b := *c.Register
		b.Epoch = offset
		i.brokers[b.ID] = &b
		delete(i.left, b.ID)
		i.touchBroker(b.ID, dirty)
	case c.Unregister != nil:
		delete(i.brokers, c.Unregister.Broker)
		i.left[c.Unregister.Broker] = struct{}{}
		i.touchBroker(c.Unregister.Broker, dirty)
	case c.CreateTopic != nil:
		i.setTopic(c.CreateTopic.numbered(), dirty)
	case c.DeleteTopic != nil:
		i.kill(*c.DeleteTopic, dirty)
	case c.AddPartition != nil:
		if old, ok := i.ids[c.AddPartition.ID]; ok {
			t := *old
			t.Partitions = slices.Concat(old.Partitions, c.AddPartition.Partitions)
			i.setTopic(t.numbered(), dirty)
		}
	case c.ChangePartitions != nil:
		i.changePartitions(*c.ChangePartitions, offset, dirty)
	case c.SetConfigs != nil:
		i.configure(*c.SetConfigs, dirty)
	case c.SetFeature != nil:
		i.finalize(c.SetFeature.Name, c.SetFeature.Level)
	case c.SetQuotas != nil:
		i.setQuotas(*c.SetQuotas, dirty)
	case c.ProducerIDs != nil && !planted.Is(planted.ProducerIDTwice):
		i.nextProducerID = max(i.nextProducerID, c.ProducerIDs.First+int64(c.ProducerIDs.Count))
	}
}

// changePartitions replaces the records of partitions that there are.
func (i *Image) changePartitions(c changePartitions, offset int64, dirty map[part]struct{}) {
	old, ok := i.ids[c.ID]
	if !ok {
		return
	}
	t := *old
	t.Partitions = slices.Clone(old.Partitions)
	for at, p := range c.Partitions {
		if at >= 0 && int(at) < len(t.Partitions) {
			p.Since = offset
			t.Partitions[at] = p
		}
	}
	i.setTopic(t.numbered(), dirty)
}

func (i *Image) touchBroker(id int32, dirty map[part]struct{}) {
	dirty[part{brokerParts, brokerKey(id)}] = struct{}{}
	dirty[part{leftParts, brokerKey(id)}] = struct{}{}
}

func brokerKey(id int32) string { return strconv.Itoa(int(id)) }

// numbered gives the partitions, which are t's own, their ids.
func (t *Topic) numbered() *Topic {
	for i := range t.Partitions {
		t.Partitions[i].ID = int32(i)
	}
	return t
}

// setTopic installs a new or changed topic; t is the image's from now on.
func (i *Image) setTopic(t *Topic, dirty map[part]struct{}) {
	i.topics[t.Name], i.ids[t.ID] = t, t
	dirty[part{topicParts, t.ID.String()}] = struct{}{}
}

func (i *Image) kill(d deleteTopic, dirty map[part]struct{}) {
	t, ok := i.ids[d.ID]
	if !ok {
		return
	}
	delete(i.ids, t.ID)
	delete(i.topics, t.Name)
	i.dead[t.ID] = DeadTopic{ID: t.ID, Name: t.Name, Deleted: d.Time}
	dirty[part{topicParts, t.ID.String()}] = struct{}{}
	dirty[part{deadParts, t.ID.String()}] = struct{}{}
}

func (i *Image) configure(c setConfigs, dirty map[part]struct{}) {
	if c.Resource.Type == TopicResource {
		if old, ok := i.topics[c.Resource.Name]; ok {
			t := *old
			t.Configs = merged(old.Configs, c.Values)
			i.setTopic(&t, dirty)
		}
		return
	}
	i.configs[c.Resource] = merged(i.configs[c.Resource], c.Values)
	if len(i.configs[c.Resource]) == 0 {
		delete(i.configs, c.Resource)
	}
	dirty[part{configParts, configKey(c.Resource)}] = struct{}{}
}

func configKey(r Resource) string { return strconv.Itoa(int(r.Type)) + "/" + r.Name }

// merged is a new map: values changed by change, where nil removes.
func merged(values map[string]string, change map[string]*string) map[string]string {
	after := maps.Clone(values)
	if after == nil {
		after = map[string]string{}
	}
	for name, value := range change {
		if value == nil {
			delete(after, name)
		} else {
			after[name] = *value
		}
	}
	return after
}

func (i *Image) finalize(name string, level int16) {
	if level == 0 {
		delete(i.features, name)
		return
	}
	i.features[name] = level
}
