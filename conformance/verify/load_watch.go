package verify

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerTime bounds one look of the watcher: a broker that is away is asked
// again.
const answerTime = 5 * time.Second

// watch asks again and again for the ends of the logs, the groups' offsets and
// a new producer id.
func (l *Load) watch(ctx context.Context) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	l.paced(ctx, 20*time.Millisecond, func() bool {
		looking, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		l.lookAtEnds(looking, client, "watcher", l.names.topics...)
		l.lookAtGroups(looking, client, "watcher")
		l.askProducerID(looking, client)
		return true
	})
	return nil
}

// lookAtEnds records the high watermark and the last stable offset of each
// partition, the second asked for first. It says whether no transaction is
// open.
func (l *Load) lookAtEnds(ctx context.Context, client *kgo.Client, process string, topics ...string) (settled bool) {
	admin := kadm.NewClient(client)
	asked := l.recorder.Now()
	stable, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return false
	}
	high, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return false
	}
	known, equal := 0, 0
	high.Each(func(h kadm.ListedOffset) {
		s, ok := stable.Lookup(h.Topic, h.Partition)
		if !ok || s.Err != nil || h.Err != nil {
			return
		}
		for _, e := range endsTold(h, s) {
			e.Process, e.Since = process, asked
			l.recorder.Add(e)
		}
		known++
		if s.Offset == h.Offset {
			equal++
		}
	})
	return known == len(topics)*partitionsOfTopic && equal == known
}

// endsTold is what a partition's two answers tell: together, or each by itself where
// a leader was replaced between them.
func endsTold(high, stable kadm.ListedOffset) []Event {
	e := Event{Kind: Watermark, Topic: high.Topic, Partition: high.Partition, HighWatermark: high.Offset, LastStable: stable.Offset, LeaderEpoch: max(high.LeaderEpoch, 0)}
	if high.LeaderEpoch == stable.LeaderEpoch {
		return []Event{e}
	}
	other := e
	e.LastStable = -1
	other.HighWatermark, other.LeaderEpoch = -1, max(stable.LeaderEpoch, 0)
	return []Event{e, other}
}

// lookAtGroups records the committed offsets of the groups; those that a
// transaction holds open are not answered (KIP-447). It says whether there were
// none such.
func (l *Load) lookAtGroups(ctx context.Context, client *kgo.Client, process string) (settled bool) {
	settled = true
	for group, topic := range map[string]string{l.names.readers: l.names.plain, l.names.pipe: l.names.transactions, l.names.offsets: l.names.plain} {
		asked := l.recorder.Now()
		offsets, err := kadm.NewClient(client).FetchOffsets(kadm.RequireStable(ctx), group)
		if err != nil {
			settled = false
			continue
		}
		for partition, o := range offsets[topic] {
			if o.Err != nil {
				settled = false
			} else {
				l.recorder.Add(Event{Kind: Position, Process: process, Since: asked, Group: group, Topic: topic, Partition: partition, Offset: o.At})
			}
		}
	}
	return settled
}

// askProducerID takes a producer id that nobody will use.
func (l *Load) askProducerID(ctx context.Context, client *kgo.Client) {
	resp, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(ctx, client)
	if err == nil && kerr.ErrorForCode(resp.ErrorCode) == nil {
		l.recorder.Add(Event{Kind: Grant, Process: "watcher", ProducerID: resp.ProducerID, Epoch: resp.ProducerEpoch})
	}
}
