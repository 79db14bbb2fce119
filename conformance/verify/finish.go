package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	errs := []error{l.writers.stop(), l.leave(ctx)}
	l.copies.Wait()
	within := l.options.TransactionTimeout + l.options.Settle
	l.recorder.Add(Event{Kind: Left, Topic: l.names.transactions, Within: within})
	l.eventually(ctx, within+patience, func(ctx context.Context) bool { return l.lookAtEnds(ctx, client, "end", l.names.transactions) })
	input, err := l.readTo(ctx, kgo.ReadCommitted(), l.names.transactions)
	errs = append(errs, err)
	if l.does(ETL) {
		l.await(ctx, func(t Tally) int { return t.Transformed }, records(input))
	}
	errs = append(errs, l.pipes.stop())
	l.copies.Wait() // those of the pipes
	l.eventually(ctx, within+patience, func(ctx context.Context) bool { return l.lookAtEnds(ctx, client, "end", l.names.topics...) })
	l.eventually(ctx, patience, func(ctx context.Context) bool { return l.lookAtGroups(ctx, client, "end") })
	log, err := l.readTo(ctx, kgo.ReadUncommitted(), l.names.topics...)
	errs = append(errs, err)
	view, err := l.readTo(ctx, kgo.ReadCommitted(), l.names.topics...)
	errs = append(errs, err)
	l.await(ctx, func(t Tally) int { return t.ReadStable }, records(view))
	l.await(ctx, func(t Tally) int { return t.Read - t.ReadStable }, len(log))
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

// leave opens a transaction on every partition and goes, as a client that is
// killed: only the timeout ends it.
func (l *Load) leave(ctx context.Context) error {
	const session = "left/0"
	client, err := l.client(kgo.TransactionalID(l.options.Name+"-left"), kgo.TransactionTimeout(l.options.TransactionTimeout))
	if err != nil {
		return err
	}
	defer client.Close()
	if !l.eventually(ctx, 2*patience, func(ctx context.Context) bool { err = l.granted(ctx, client, session); return err == nil }) {
		return fmt.Errorf("open the transaction that is left: %w", err)
	}
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	for p := range int32(partitionsOfTopic) {
		e := Event{Topic: l.names.transactions, Partition: p, Value: fmt.Sprintf("%s#%d", session, p), Txn: session}
		l.send(ctx, client, session, e, func(error) {})
	}
	return client.Flush(ctx)
}

// eventually asks cond until it holds, at most for so long.
func (l *Load) eventually(ctx context.Context, most time.Duration, cond func(context.Context) bool) (held bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	l.paced(ctx, 20*time.Millisecond, func() bool {
		held = cond(ctx)
		return !held
	})
	return held
}

// await waits until so many were counted, for as long as the count rises within the
// patience.
func (l *Load) await(ctx context.Context, count func(Tally) int, want int) {
	for before := -1; ; {
		now := count(l.recorder.Tally())
		if now >= want || now == before || ctx.Err() != nil {
			return // what did not come shows in the history
		}
		before = now
		waiting, cancel := context.WithTimeout(ctx, patience)
		err := l.recorder.Await(waiting, func(t Tally) bool { return count(t) >= want })
		cancel()
		if err == nil {
			return
		}
	}
}

// Remove deletes the topics and groups of the load, once it has ended.
func (l *Load) Remove(ctx context.Context) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	admin := kadm.NewClient(client)
	var errs []error
	deleted, err := admin.DeleteTopics(ctx, l.names.topics...)
	errs = append(errs, err)
	for _, topic := range deleted {
		errs = append(errs, topic.Err)
	}
	var refused error
	l.eventually(ctx, patience, func(ctx context.Context) bool { // members that were killed are in until their session ends
		refused = l.removeGroups(ctx, admin)
		return !errors.Is(refused, kerr.NonEmptyGroup)
	})
	errs = append(errs, refused)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete the topics and groups of the load: %w", err)
	}
	return nil
}

// removeGroups asks once. Not all workloads have groups.
func (l *Load) removeGroups(ctx context.Context, admin *kadm.Client) error {
	groups, err := admin.DeleteGroups(ctx, l.names.pipe, l.names.readers, l.names.offsets)
	for _, group := range groups {
		if !errors.Is(group.Err, kerr.GroupIDNotFound) {
			err = errors.Join(err, group.Err)
		}
	}
	return err
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

// endsOf asks how far each partition that holds anything can be read.
func endsOf(ctx context.Context, client *kgo.Client, isolation kgo.IsolationLevel, topics []string) (map[partition]int64, error) {
	list := kadm.NewClient(client).ListEndOffsets
	if isolation == kgo.ReadCommitted() {
		list = kadm.NewClient(client).ListCommittedOffsets
	}
	listed, err := list(ctx, topics...)
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

// readTo reads topics from their beginning to the high watermark, or to the last
// stable offset, by the isolation level.
func (l *Load) readTo(ctx context.Context, isolation kgo.IsolationLevel, topics ...string) ([]Event, error) {
	client, err := l.client(kgo.FetchIsolationLevel(isolation), kgo.ConsumePartitions(fromStart(topics)), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var ends map[partition]int64
	if !l.eventually(ctx, patience, func(ctx context.Context) bool { ends, err = endsOf(ctx, client, isolation, topics); return err == nil }) {
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
