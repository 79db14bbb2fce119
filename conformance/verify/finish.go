package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long Finish waits for what has to come, beyond the
// transactions' timeout. What does not come is for Judge to name.
const patience = 20 * time.Second

// Finish ends the load with a broker that stays: the producers leave, some in
// the middle of a transaction; what they left open is aborted; the pipeline and
// the readers come to the end; the final log goes into the history.
func (l *Load) Finish(ctx context.Context) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	errs := []error{l.writers.stop()}
	within := l.options.TransactionTimeout + settleSlack
	l.recorder.Add(Event{Kind: Left, Topic: txnTopic, Within: within})
	if !l.eventually(ctx, within+patience, func(ctx context.Context) bool { return l.lookAtEnds(ctx, client, "end", txnTopic) }) {
		return errors.Join(append(errs, l.pipes.stop(), l.followers.stop())...) // Judge names the transaction that hangs
	}
	input, err := l.readTo(ctx, kgo.ReadCommitted(), txnTopic)
	errs = append(errs, err)
	l.await(ctx, func(t Tally) bool { return t.Transformed >= records(input) })
	errs = append(errs, l.pipes.stop())
	l.eventually(ctx, within+patience, func(ctx context.Context) bool { return l.lookAtEnds(ctx, client, "end", topics...) })
	l.lookAtGroups(ctx, client, "end")
	log, err := l.readTo(ctx, kgo.ReadUncommitted(), topics...)
	errs = append(errs, err)
	view, err := l.readTo(ctx, kgo.ReadCommitted(), topics...)
	errs = append(errs, err)
	l.await(ctx, func(t Tally) bool { return t.ReadStable >= records(view) && t.Read-t.ReadStable >= len(log) })
	errs = append(errs, l.followers.stop())
	for _, e := range log {
		l.recorder.Add(e)
	}
	for _, e := range view {
		if !e.Control {
			e.Kind = View
			l.recorder.Add(e)
		}
	}
	return errors.Join(errs...)
}

// eventually asks cond until it holds, at most for so long.
func (l *Load) eventually(ctx context.Context, most time.Duration, cond func(context.Context) bool) (held bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	paced(ctx, 20*time.Millisecond, func() bool {
		held = cond(ctx)
		return !held
	})
	return held
}

// await waits for a tally, at most for the patience.
func (l *Load) await(ctx context.Context, cond func(Tally) bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l.recorder.Await(ctx, cond) // that it ran out of patience shows in the history
}

// records counts those that are not control records.
func records(events []Event) (n int) {
	for i := range events {
		if !events[i].Control {
			n++
		}
	}
	return n
}

// endsOf asks for the high watermarks of topics that hold anything.
func (l *Load) endsOf(ctx context.Context, client *kgo.Client, topics []string) (map[partition]int64, error) {
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("ask for the end of the logs: %w", err)
	}
	ends := make(map[partition]int64)
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[partition{o.Topic, o.Partition}] = o.Offset
		}
	})
	return ends, listed.Error()
}

// readTo reads topics from their beginning to their high watermark.
func (l *Load) readTo(ctx context.Context, isolation kgo.IsolationLevel, topics ...string) ([]Event, error) {
	wanted := fromStart()
	maps.DeleteFunc(wanted, func(topic string, _ map[int32]kgo.Offset) bool { return !slices.Contains(topics, topic) })
	client, err := l.client(kgo.FetchIsolationLevel(isolation), kgo.ConsumePartitions(wanted), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ends, err := l.endsOf(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	var all []Event
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return all, nil // Judge names the hole
		}
		fetches.EachRecord(func(r *kgo.Record) {
			e := recordEvent(Log, "end", isolation == kgo.ReadCommitted(), r)
			all = append(all, e)
			if end, open := ends[e.partition()]; open && r.Offset >= end-1 {
				delete(ends, e.partition())
			}
		})
	}
	return all, nil
}
