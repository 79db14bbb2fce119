//go:build synctests

package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/conformance/verify"
)

// Topics of which parts go away: by compaction, and by DeleteRecords.
const (
	compacted = "sim-compacted"
	trimmed   = "sim-trimmed"
)

// tidyTopics have small segments, so that there is much to clean.
var tidyTopics = map[string]map[string]string{
	compacted: {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "1000", "internal.segment.bytes": "600"},
	trimmed:   {"internal.segment.bytes": "600"},
}

// A written is a record that was handed to the client.
type written struct {
	topic, key, value string
	offset            int64 // -1: not acknowledged
}

// A tidier writes one record after the other to topics that are cleaned
// meanwhile, and has records deleted. It goes on through whatever happens.
type tidier struct {
	client  *kgo.Client
	random  *rand.Rand
	written []*written
	asked   int64 // the highest log start of trimmed that was asked for
	told    int64 // and that was told
}

func newTidier(ctx context.Context, seed uint64, options ...kgo.Opt) (*tidier, error) {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	w := &tidier{client: client, random: rand.New(rand.NewPCG(seed, 6))}
	for topic, configs := range tidyTopics {
		all := make(map[string]*string)
		for name, value := range configs {
			all[name] = &value
		}
		if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, all, topic); err != nil {
			client.Close()
			return nil, fmt.Errorf("create %s: %w", topic, err)
		}
	}
	return w, nil
}

// run works until ctx ends.
func (w *tidier) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		w.write(ctx, compacted, fmt.Sprint("key ", w.random.IntN(6)), fmt.Sprintf("compacted %d", n), w.random.IntN(6) == 0)
		w.write(ctx, trimmed, "", fmt.Sprintf("trimmed %d", n), false)
		if n%8 == 7 {
			w.trim(ctx)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *tidier) write(ctx context.Context, topic, key, value string, tombstone bool) {
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	if tombstone {
		r.Value, value = nil, ""
	}
	one := &written{topic, key, value, -1}
	w.written = append(w.written, one)
	if w.client.ProduceSync(ctx, r).FirstErr() == nil {
		one.offset = r.Offset
	}
}

// trim has records deleted up to one of the newest that were acknowledged.
func (w *tidier) trim(ctx context.Context) {
	upTo := int64(0)
	for _, one := range w.written[w.random.IntN(len(w.written)):] {
		if one.topic == trimmed {
			upTo = max(upTo, one.offset)
		}
	}
	var offsets kadm.Offsets
	offsets.AddOffset(trimmed, 0, upTo, -1)
	w.asked = max(w.asked, upTo)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answers, err := kadm.NewClient(w.client).DeleteRecords(ctx, offsets)
	if answer, ok := answers.Lookup(trimmed, 0); ok && err == nil && answer.Err == nil {
		w.told = max(w.told, upTo)
	}
}

// judge compares what is left with what was written.
func (w *tidier) judge(ctx context.Context, options ...kgo.Opt) (found []verify.Anomaly, err error) {
	for topic := range tidyTopics {
		start, seen, err := readAgain(ctx, topic, options...)
		if err != nil {
			return nil, err
		}
		if topic == compacted {
			found = append(found, w.judgeCompacted(seen)...)
		} else {
			found = append(found, w.judgeTrimmed(start, seen)...)
		}
	}
	return found, nil
}

func anomaly(name, format string, args ...any) verify.Anomaly {
	return verify.Anomaly{Name: name, Detail: fmt.Sprintf(format, args...)}
}

// judgeCompacted wants of each key the newest record that was acknowledged, or a
// newer one, or nothing if that is a tombstone.
func (w *tidier) judgeCompacted(seen map[int64]*kgo.Record) (found []verify.Anomaly) {
	sent, acked := make(map[string]bool), make(map[string]*written)
	newest := make(map[string]int64)
	for _, one := range w.written {
		if one.topic != compacted {
			continue
		}
		sent[one.key+"="+one.value] = true
		if one.offset >= 0 && (acked[one.key] == nil || one.offset > acked[one.key].offset) {
			acked[one.key] = one
		}
	}
	for offset, r := range seen {
		newest[string(r.Key)] = max(newest[string(r.Key)], offset+1)
		if !sent[string(r.Key)+"="+string(r.Value)] {
			found = append(found, anomaly("phantom", "%s at %d: %s=%q, which nobody wrote", compacted, offset, r.Key, r.Value))
		}
	}
	for key, one := range acked {
		if newest[key]-1 < one.offset && one.value != "" {
			found = append(found, anomaly("lost-write", "%s: %s=%s, acknowledged at %d, and the newest of the key is at %d", compacted, key, one.value, one.offset, newest[key]-1))
		}
		if newest[key]-1 < one.offset && newest[key] > 0 {
			found = append(found, anomaly("vanished", "%s: %s was deleted at %d, and is at %d", compacted, key, one.offset, newest[key]-1))
		}
	}
	return found
}

// judgeTrimmed wants every acknowledged record above the log start, and the log
// start where it was asked for.
func (w *tidier) judgeTrimmed(start int64, seen map[int64]*kgo.Record) (found []verify.Anomaly) {
	if start < w.told || start > w.asked {
		found = append(found, anomaly("log-start-moved", "%s begins at %d, want %d to %d", trimmed, start, w.told, w.asked))
	}
	where := make(map[string]int64)
	for offset, r := range seen {
		if other, twice := where[string(r.Value)]; twice {
			found = append(found, anomaly("duplicate", "%s: %s is at %d and at %d", trimmed, r.Value, other, offset))
		}
		where[string(r.Value)] = offset
	}
	for _, one := range w.written {
		if one.topic != trimmed {
			continue
		}
		at, ok := where[one.value]
		delete(where, one.value)
		if one.offset >= start && (!ok || at != one.offset) {
			found = append(found, anomaly("lost-write", "%s: %s, acknowledged at %d, is at %d (%v); the log begins at %d", trimmed, one.value, one.offset, at, ok, start))
		}
	}
	for value, offset := range where {
		found = append(found, anomaly("phantom", "%s at %d: %s, which nobody wrote", trimmed, offset, value))
	}
	return found
}

// readAgain reads a topic whose leader may not be elected yet.
func readAgain(ctx context.Context, topic string, options ...kgo.Opt) (start int64, seen map[int64]*kgo.Record, err error) {
	for range 50 {
		if start, seen, err = readWhole(ctx, topic, options...); err == nil {
			return start, seen, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return 0, nil, fmt.Errorf("read %s: %w", topic, err)
}

// readWhole reads the only partition of a topic.
func readWhole(ctx context.Context, topic string, options ...kgo.Opt) (start int64, seen map[int64]*kgo.Record, err error) {
	client, err := kgo.NewClient(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, nil, err
	}
	first, _ := starts.Lookup(topic, 0)
	end, _ := ends.Lookup(topic, 0)
	if err := errors.Join(first.Err, end.Err); err != nil {
		return 0, nil, err
	}
	seen = make(map[int64]*kgo.Record)
	for next := first.Offset; next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, nil, fmt.Errorf("at %d of %d: %w", next, end.Offset, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen[r.Offset] = r
			next = r.Offset + 1
		})
	}
	return first.Offset, seen, nil
}
