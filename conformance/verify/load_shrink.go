package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shrinking are the topics of which brokers drop records all the time, each with
// its configs. A history cannot say what has to be left of them; their replicas
// can be compared.
func (n names) shrinking() map[string]map[string]*string {
	short := func(policy string) map[string]*string {
		return map[string]*string{
			"cleanup.policy": &policy, "segment.ms": kadm.StringPtr("300"), "retention.bytes": kadm.StringPtr("4096"),
			"min.cleanable.dirty.ratio": kadm.StringPtr("0.01"), "delete.retention.ms": kadm.StringPtr("100"),
		}
	}
	return map[string]map[string]*string{
		n.base + "-compacted": short("compact"), n.base + "-trimmed": short("delete"), n.base + "-both": short("compact,delete"),
	}
}

// startShrinking makes the topics and starts their writers, a plain one and one
// with transactions for each.
func (l *Load) startShrinking(ctx, writers context.Context) error {
	topics := l.names.shrinking()
	for topic, configs := range topics {
		if err := l.createTopics(ctx, configs, topic); err != nil {
			return err
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		for _, transactions := range []bool{false, true} {
			w := shrinkWriter{Load: l, topic: topic, process: topic, transactions: transactions}
			if transactions {
				w.process += "-transactions"
			}
			w.random = l.random(w.process)
			l.writers.run(writers, w.run)
		}
	}
	return nil
}

// A shrinkWriter writes few keys again and again, deletes some, and now and then
// all that it was told is stored.
type shrinkWriter struct {
	*Load
	topic, process string
	transactions   bool
	random         *rand.Rand
}

func (w shrinkWriter) run(ctx context.Context) error {
	options := []kgo.Opt{kgo.MaxBufferedRecords(100)}
	if w.transactions {
		options = append(options, kgo.TransactionalID(w.process), kgo.TransactionTimeout(w.options.TransactionTimeout))
	}
	return w.sessions(ctx, w.process, func(name string, one *life) error {
		one.copies = true
		client, err := w.clientOf(one, options...)
		if err != nil {
			return err
		}
		if w.granted(one.ctx, client, name) == nil {
			w.paced(one.ctx, 10*time.Millisecond, func() bool { return w.write(one.ctx, client) == nil })
		}
		return nil
	})
}

// write writes some records, in a transaction or not. After an error the client is
// good for nothing more, or its broker is away: another goes on.
func (w shrinkWriter) write(ctx context.Context, client *kgo.Client) error {
	if w.transactions {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
	}
	var records []*kgo.Record
	for range 1 + w.random.IntN(8) {
		r := &kgo.Record{Topic: w.topic, Partition: w.random.Int32N(partitionsOfTopic), Key: fmt.Appendf(nil, "key %d", w.random.IntN(40))}
		if w.random.IntN(5) > 0 {
			r.Value = fmt.Appendf(nil, "%x", w.random.Uint64())
		}
		records = append(records, r)
	}
	results := client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		return err
	}
	if w.transactions {
		return client.EndTransaction(ctx, kgo.TransactionEndTry(w.random.IntN(3) > 0))
	}
	if w.random.IntN(100) == 0 {
		return w.deleteBefore(ctx, client, results[0].Record)
	}
	return nil
}

// deleteBefore raises the log start. A topic that is only compacted refuses that,
// and a broker may be away: it is not asked again.
func (w shrinkWriter) deleteBefore(ctx context.Context, client *kgo.Client, r *kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := kadm.NewClient(client).DeleteRecords(ctx, kadm.Offsets{r.Topic: {r.Partition: {Topic: r.Topic, Partition: r.Partition, At: r.Offset, LeaderEpoch: -1}}})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
