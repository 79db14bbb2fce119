package cluster

import (
	"cmp"
	"maps"
	"slices"
)

// An Image is the metadata at one offset of its log. It and everything
// reachable from it never change; a later state is another Image that shares
// what stayed the same.
type Image struct {
	// Offset is the offset after the last command applied, -1 before the first.
	// Kafka calls it the metadata offset; it is the epoch of finalized features.
	Offset int64
	// ClusterID is empty until the cluster has been founded.
	ClusterID string

	nextProducerID int64
	features       map[string]int16
	brokers        map[int32]*Broker
	left           map[int32]struct{} // unregistered, and not registered again
	topics         map[string]*Topic
	ids            map[UUID]*Topic
	dead           map[UUID]DeadTopic
	configs        map[Resource]map[string]string // of brokers; a topic holds its own
	quotas         map[string]*Quota              // by QuotaEntity.key
}

// A Broker is a registered node.
type Broker struct {
	ID int32 `json:"id"`
	// Epoch is the offset of the registration, so a later one is higher.
	Epoch     int64      `json:"epoch"`
	Listeners []Listener `json:"listeners"`
	Rack      string     `json:"rack,omitempty"`
	// Address is where other nodes reach it; empty for one that is alone.
	Address string `json:"address,omitempty"`
	// Joining says that it has not registered yet, because it lacks the newest
	// metadata: clients are not told of it, and nothing is placed on it.
	Joining bool `json:"joining,omitempty"`
}

// A Listener is an advertised address of a broker.
type Listener struct {
	Name     string `json:"name"`     // such as PLAINTEXT
	Protocol string `json:"protocol"` // security protocol, such as SASL_SSL
	Host     string `json:"host"`
	Port     int32  `json:"port"`
}

// A Topic is a topic that exists.
type Topic struct {
	Name       string            `json:"name"`
	ID         UUID              `json:"id"`
	Internal   bool              `json:"internal,omitempty"`
	Created    int64             `json:"created"` // ms of the Unix epoch
	Configs    map[string]string `json:"configs,omitempty"`
	Partitions []Partition       `json:"partitions"` // position i is partition i
}

// A Partition is what the metadata knows of a partition. Replicas are the
// target; the truth is the partition's own raft configuration (hard-40).
type Partition struct {
	ID       int32   `json:"-"`
	Replicas []int32 `json:"replicas"` // preferred leader first
	// Adding and Removing are those of Replicas that come and go while the
	// partition is reassigned (KIP-455).
	Adding   []int32 `json:"adding,omitempty"`
	Removing []int32 `json:"removing,omitempty"`
	// Returning are those that were to go, and by a later wish are not. Their votes
	// may be gone, so it takes a change of the group until they are back.
	Returning []int32 `json:"returning,omitempty"`
	// Founders are the replicas that make the group, where they are others than
	// Replicas; Founded says that it is made.
	Founders []int32 `json:"founders,omitempty"`
	Founded  bool    `json:"founded,omitempty"`
	// Since is the offset of the command that last changed the record, 0 for none.
	Since int64 `json:"since,omitempty"`
	// Recovery is the newest unclean one, nil without any.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// A DeadTopic is a topic that was deleted: its id is never used again (hard-36).
type DeadTopic struct {
	ID      UUID   `json:"id"`
	Name    string `json:"name"`
	Deleted int64  `json:"deleted"` // ms of the Unix epoch
}

// A ResourceType says what a configuration belongs to, by Kafka's numbers.
type ResourceType int8

// Types of resources. Source: org.apache.kafka.common.config.ConfigResource.Type.
const (
	TopicResource  ResourceType = 2
	BrokerResource ResourceType = 4
)

// A Resource has dynamic configurations. The broker "" stands for all brokers.
type Resource struct {
	Type ResourceType `json:"type"`
	Name string       `json:"name"`
}

func newImage() *Image {
	return &Image{
		Offset:   -1,
		features: map[string]int16{},
		brokers:  map[int32]*Broker{},
		left:     map[int32]struct{}{},
		topics:   map[string]*Topic{},
		ids:      map[UUID]*Topic{},
		dead:     map[UUID]DeadTopic{},
		configs:  map[Resource]map[string]string{},
		quotas:   map[string]*Quota{},
	}
}

// clone copies the maps, not what they point to.
func (i *Image) clone() *Image {
	c := *i
	c.features = maps.Clone(i.features)
	c.brokers = maps.Clone(i.brokers)
	c.left = maps.Clone(i.left)
	c.topics = maps.Clone(i.topics)
	c.ids = maps.Clone(i.ids)
	c.dead = maps.Clone(i.dead)
	c.configs = maps.Clone(i.configs)
	c.quotas = maps.Clone(i.quotas)
	return &c
}

// Topic finds a topic by name.
func (i *Image) Topic(name string) (*Topic, bool) {
	t, ok := i.topics[name]
	return t, ok
}

// TopicByID finds a topic by id.
func (i *Image) TopicByID(id UUID) (*Topic, bool) {
	t, ok := i.ids[id]
	return t, ok
}

// Topics are all topics, by name.
func (i *Image) Topics() []*Topic {
	return slices.SortedFunc(maps.Values(i.topics), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
}

// Dead says whether the id belonged to a topic that was deleted.
func (i *Image) Dead(id UUID) (DeadTopic, bool) {
	d, ok := i.dead[id]
	return d, ok
}

// DeadTopics are all deleted topics, the oldest first.
func (i *Image) DeadTopics() []DeadTopic {
	return slices.SortedFunc(maps.Values(i.dead), func(a, b DeadTopic) int {
		return cmp.Or(cmp.Compare(a.Deleted, b.Deleted), slices.Compare(a.ID[:], b.ID[:]))
	})
}

// Broker finds a registered broker.
func (i *Image) Broker(id int32) (*Broker, bool) {
	b, ok := i.brokers[id]
	return b, ok
}

// Brokers are the registered brokers, by id. Those that are joining are not yet.
func (i *Image) Brokers() []*Broker {
	return slices.DeleteFunc(i.Nodes(), func(b *Broker) bool { return b.Joining })
}

// Nodes are the registered brokers and those that are joining, by id.
func (i *Image) Nodes() []*Broker {
	return slices.SortedFunc(maps.Values(i.brokers), func(a, b *Broker) int { return cmp.Compare(a.ID, b.ID) })
}

// Left says that a broker was unregistered and has not come back.
func (i *Image) Left(id int32) bool {
	_, left := i.left[id]
	return left
}

// Configs are the dynamic configurations of a resource; the map is not to be
// changed. ok is false for a topic that does not exist.
func (i *Image) Configs(r Resource) (values map[string]string, ok bool) {
	if r.Type == TopicResource {
		t, ok := i.topics[r.Name]
		if !ok {
			return nil, false
		}
		return t.Configs, true
	}
	return i.configs[r], true
}

// Features are the finalized features and their levels; level 0 is not listed.
func (i *Image) Features() map[string]int16 { return maps.Clone(i.features) }

// Feature is the finalized level of a feature, 0 if it is not finalized.
func (i *Image) Feature(name string) int16 { return i.features[name] }

// FeaturesEpoch is what ApiVersions answers as FinalizedFeaturesEpoch: it rises
// with each change of the metadata, -1 before the first.
func (i *Image) FeaturesEpoch() int64 { return i.Offset }
