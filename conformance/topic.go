package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A topic is one the case made.
type topic struct {
	name    string
	id      [16]byte
	leaders []int32 // node id by partition
	epochs  []int32 // leader epoch by partition
	wide    bool    // the broker chose how many partitions
}

// A partition is one partition of a topic.
type partition struct {
	topic *topic
	index int32
}

func (tp *topic) at(index int32) partition { return partition{tp, index} }

func (p partition) leader() int32 { return p.topic.leaders[p.index] }

// newTopic makes a topic with one replica and waits until every broker knows
// its leaders and every leader serves it. Configs are name, value pairs.
func (t *T) newTopic(partitions int32, configs ...string) *topic {
	tp := &topic{name: t.name("topic")}
	t.makeTopic(tp, partitions, configs...)
	return tp
}

// oneLog is a new topic of one partition.
func (t *T) oneLog(configs ...string) partition { return t.newTopic(1, configs...).at(0) }

// makeTopic makes the topic under the name it already has.
func (t *T) makeTopic(tp *topic, partitions int32, configs ...string) {
	if !t.cluster.offers(keyCreateTopics) && len(configs) == 0 {
		t.autoTopic(tp, int(partitions))
		return
	}
	answer := t.createTopic(tp.name, partitions, 1, configs...)
	t.mustCode("CreateTopics "+tp.name, answer.ErrorCode, codeNone)
	t.until("metadata and leaders of "+tp.name, func() (string, bool) { return t.located(tp, int(partitions)) })
}

// autoTopic has a broker that creates no topics by request make one for asking
// after it, with as many partitions as it likes.
func (t *T) autoTopic(tp *topic, partitions int) {
	tp.wide = true
	req := kmsg.NewPtrMetadataRequest()
	req.Version = t.newest(req, -1)
	req.AllowAutoTopicCreation = true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &tp.name}}
	t.askMetadata(t.any(), req) // it may not be there yet in this answer
	t.until("metadata and leaders of "+tp.name, func() (string, bool) { return t.located(tp, partitions) })
}

// createTopic sends CreateTopics for one topic.
func (t *T) createTopic(name string, partitions int32, replicas int16, configs ...string) kmsg.CreateTopicsResponseTopic {
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = name, partitions, replicas
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		one.Configs = append(one.Configs, c)
	}
	return t.sendCreate(one)
}

// sendCreate sends CreateTopics for one topic as it is, and keeps in mind to
// delete what was made.
func (t *T) sendCreate(one kmsg.CreateTopicsRequestTopic) kmsg.CreateTopicsResponseTopic {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis = 10000
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.CreateTopicsResponse](t, t.any(), req)
	if len(resp.Topics) != 1 {
		t.fatalf("CreateTopics", "1 topic", "%d topics", len(resp.Topics))
	}
	if resp.Topics[0].ErrorCode == codeNone {
		t.topics = append(t.topics, &topic{name: one.Topic})
	}
	return resp.Topics[0]
}

// together makes a topic whose partitions one broker leads.
func (t *T) together(partitions int32) *topic {
	if len(t.cluster.brokers) == 1 {
		return t.newTopic(partitions)
	}
	tp := &topic{name: t.name("topic")}
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = tp.name, -1, -1
	for i := range partitions {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = i, []int32{t.any()}
		one.ReplicaAssignment = append(one.ReplicaAssignment, a)
	}
	t.mustCode("CreateTopics "+tp.name, t.sendCreate(one).ErrorCode, codeNone)
	t.until("metadata and leaders of "+tp.name, func() (string, bool) { return t.located(tp, int(partitions)) })
	return tp
}

// located fills in id, leaders and epochs once all brokers agree on them and
// each leader answers for its partition.
func (t *T) located(tp *topic, partitions int) (string, bool) {
	for _, node := range t.cluster.nodes() {
		meta := t.metadata(node, tp.name)
		if tp.wide {
			partitions = max(partitions, len(meta.Partitions))
		}
		if meta.ErrorCode != codeNone || len(meta.Partitions) != partitions {
			return fmt.Sprintf("node %d: %s, %d partitions", node, codeName(meta.ErrorCode), len(meta.Partitions)), false
		}
		tp.id = meta.TopicID
		tp.leaders, tp.epochs = make([]int32, partitions), make([]int32, partitions)
		for _, p := range meta.Partitions {
			if p.ErrorCode != codeNone || p.Leader < 0 {
				return fmt.Sprintf("partition %d: %s, leader %d", p.Partition, codeName(p.ErrorCode), p.Leader), false
			}
			tp.leaders[p.Partition], tp.epochs[p.Partition] = p.Leader, p.LeaderEpoch
		}
	}
	for i := range tp.leaders {
		if o := t.listOffset(tp.at(int32(i)), offsetEarliest, readUncommitted); o.ErrorCode != codeNone {
			return codeName(o.ErrorCode), false
		}
	}
	return "", true
}

// metadata asks one broker for one topic, by name.
func (t *T) metadata(node int32, name string) kmsg.MetadataResponseTopic {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = t.newest(req, -1)
	req.AllowAutoTopicCreation = false
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &name
	req.Topics = append(req.Topics, one)
	resp := t.askMetadata(node, req)
	if len(resp.Topics) != 1 {
		t.fatalf("Metadata "+name, "1 topic", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0]
}

// askMetadata asks a broker for what the case needs to know of the cluster.
func (t *T) askMetadata(node int32, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp, err := t.node(node).metadata(req)
	if err != nil {
		t.fatalf(requestName(req), "an answer", "%v", err)
	}
	return resp
}

// deleteTopic deletes a topic by name and waits until no broker lists it.
func (t *T) deleteTopic(tp *topic) int16 {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis = 10000
	if req.Version >= 6 {
		one := kmsg.NewDeleteTopicsRequestTopic()
		one.Topic = &tp.name
		req.Topics = append(req.Topics, one)
	} else {
		req.TopicNames = []string{tp.name}
	}
	resp := ask[*kmsg.DeleteTopicsResponse](t, t.any(), req)
	if len(resp.Topics) != 1 {
		t.fatalf("DeleteTopics", "1 topic", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].ErrorCode
}

// gone waits until no broker lists the topic.
func (t *T) gone(tp *topic) {
	t.until("metadata forgets "+tp.name, func() (string, bool) {
		for _, node := range t.cluster.nodes() {
			if code := t.metadata(node, tp.name).ErrorCode; code != codeUnknownTopicOrPartition {
				return codeName(code), false
			}
		}
		return "", true
	})
}
