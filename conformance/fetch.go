package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A fetchCall is how one partition is fetched. The zero call reads from
// offset 0, uncommitted, at the newest version, without a session or a wait.
type fetchCall struct {
	version   *int16
	offset    int64
	isolation int8
	maxBytes  int32 // of the partition; 0: 1 MiB
	wait      int32 // ms, for at least one byte; 0: answer at once
	epoch     *int32
	on        *conn
}

// fetchRequest builds a sessionless fetch of one partition.
func (t *T) fetchRequest(p partition, c fetchCall) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	limit := int16(-1)
	if c.version != nil {
		limit = *c.version
	}
	req.Version = t.newest(req, limit)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = c.wait, min(c.wait, 1), 50<<20
	req.IsolationLevel = c.isolation
	req.SessionEpoch = -1
	req.ReplicaID = -1
	one := kmsg.NewFetchRequestTopic()
	one.Topic, one.TopicID = p.topic.name, p.topic.id
	one.Partitions = append(one.Partitions, fetchPartition(p, c))
	req.Topics = append(req.Topics, one)
	return req
}

func fetchPartition(p partition, c fetchCall) kmsg.FetchRequestTopicPartition {
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset = p.index, c.offset
	part.CurrentLeaderEpoch, part.LastFetchedEpoch = -1, -1
	if c.epoch != nil {
		part.CurrentLeaderEpoch = *c.epoch
	}
	part.PartitionMaxBytes = 1 << 20
	if c.maxBytes > 0 {
		part.PartitionMaxBytes = c.maxBytes
	}
	return part
}

// A fetched is the answer for one partition with its batches read.
type fetched struct {
	kmsg.FetchResponseTopicPartition
	batches []stored
}

// fetch fetches one partition once.
func (t *T) fetch(p partition, c fetchCall) fetched {
	on := c.on
	if on == nil {
		on = t.node(p.leader())
	}
	return t.readFetch(askOn[*kmsg.FetchResponse](t, on, t.fetchRequest(p, c)))
}

// readFetch reads the answer to a fetch of one partition.
func (t *T) readFetch(resp *kmsg.FetchResponse) fetched {
	t.mustCode("Fetch", resp.ErrorCode, codeNone)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("Fetch", "1 partition answered", "%d topics", len(resp.Topics))
	}
	f := fetched{FetchResponseTopicPartition: resp.Topics[0].Partitions[0]}
	batches, err := readBatches(f.RecordBatches)
	if err != nil {
		t.fatalf("record batches", "batches that read back", "%v", err)
	}
	f.batches = batches
	return f
}

// log reads every batch of the partition up to its high watermark.
func (t *T) log(p partition) []stored { return t.batches(p, readUncommitted) }

// batches reads every batch the isolation level lets through, markers and
// aborted ones included.
func (t *T) batches(p partition, isolation int8) []stored {
	var all []stored
	for next := int64(0); ; {
		f := t.fetch(p, fetchCall{offset: next, isolation: isolation})
		t.mustCode(fmt.Sprintf("Fetch from offset %d", next), f.ErrorCode, codeNone)
		if len(f.batches) == 0 {
			return all
		}
		all = append(all, f.batches...)
		next = f.batches[len(f.batches)-1].lastOffset + 1
	}
}

// values lists the records of a read_uncommitted consumer.
func (t *T) values(p partition) []string {
	var all []string
	for _, b := range t.log(p) {
		all = append(all, b.values...)
	}
	return all
}

// committed lists the records a read_committed consumer shows: it drops the
// batches of the transactions in the aborted list until their markers, as
// Kafka's consumer does.
func (t *T) committed(p partition) []string {
	var all []string
	for next := int64(0); ; {
		f := t.fetch(p, fetchCall{offset: next, isolation: readCommitted})
		t.mustCode(fmt.Sprintf("Fetch from offset %d", next), f.ErrorCode, codeNone)
		if len(f.batches) == 0 {
			return all
		}
		all = append(all, visible(f)...)
		next = f.batches[len(f.batches)-1].lastOffset + 1
	}
}

// visible is what one answer shows to a read_committed consumer.
func visible(f fetched) []string {
	var all []string
	aborted := map[int64]bool{}
	waiting := f.AbortedTransactions
	for _, b := range f.batches {
		for i := 0; i < len(waiting); {
			if waiting[i].FirstOffset > b.lastOffset {
				i++
				continue
			}
			aborted[waiting[i].ProducerID] = true
			waiting = append(waiting[:i:i], waiting[i+1:]...)
		}
		switch {
		case b.control:
			if !b.marker.commit {
				delete(aborted, b.producerID)
			}
		case b.transactional && aborted[b.producerID]:
		default:
			all = append(all, b.values...)
		}
	}
	return all
}

// markers lists the control batches of the partition.
func (t *T) markers(p partition) []stored {
	var all []stored
	for _, b := range t.log(p) {
		if b.control {
			all = append(all, b)
		}
	}
	return all
}
