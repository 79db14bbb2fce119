package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	plainTopic = "plain"
	txnTopic   = "transactions"
)

// fate is what a transaction's client was told.
type fate int

const (
	unknown fate = iota // the broker was killed before the answer came
	committed
	aborted
)

// A ledger holds what clients were told, to be compared with the log.
type ledger struct {
	mu    sync.Mutex
	acked map[string]bool
	sent  map[string]bool
	txns  map[string]fate // by the prefix of the transaction's values
}

// TestKilledUnderLoad kills a broker twenty times under idempotent and
// transactional load and compares what is left with what clients were told
// (semantics 5: promises 3, 5, 8, 9, 14).
func TestKilledUnderLoad(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	p := start(t, "dev", "--headless", "--port", "0", "--log-dirs", dir, "--topic", plainTopic+":3", "--topic", txnTopic+":3")
	port, bootstrap := p.port(), p.Bootstrap
	l := &ledger{acked: map[string]bool{}, sent: map[string]bool{}, txns: map[string]fate{}}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { l.producePlain(ctx, t, bootstrap) })
	for i := range 2 {
		load.Go(func() { l.transact(ctx, t, bootstrap, fmt.Sprintf("txn-%d", i)) })
	}
	for round := range rounds {
		began := time.Now()
		l.awaitProgress(t, round)
		t.Logf("round %d: progress after %v", round, time.Since(began))
		p.kill()
		p = start(t, "dev", "--headless", "--port", port, "--log-dirs", dir)
	}
	l.awaitProgress(t, rounds)
	cancel()
	load.Wait()
	awaitStable(t, bootstrap)
	l.compare(t, readAll(t, bootstrap, plainTopic), readAll(t, bootstrap, txnTopic))
}

// awaitProgress waits until clients were told something new, and then a random
// moment in which more requests are under way.
func (l *ledger) awaitProgress(t *testing.T, round int) {
	t.Helper()
	plain, txns := l.counts()
	deadline := time.Now().Add(30 * time.Second)
	for {
		p, x := l.counts()
		if p > plain+20 && x > txns+2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("round %d: only %d acks and %d ended transactions in 30 s", round, p-plain, x-txns)
		}
		<-time.After(time.Millisecond)
	}
	<-time.After(rand.N(50 * time.Millisecond))
}

func (l *ledger) counts() (plain, txns int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.txns {
		if f != unknown {
			txns++
		}
	}
	return len(l.acked), txns
}

// producePlain writes numbered values with one idempotent producer that lives
// through all restarts.
func (l *ledger) producePlain(ctx context.Context, t *testing.T, bootstrap string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.DefaultProduceTopic(plainTopic),
		kgo.MaxBufferedRecords(50), kgo.ProducerLinger(0), kgo.RetryBackoffFn(quickly), kgo.MetadataMinAge(quickly(0)))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprint("p", i)
		l.mu.Lock()
		l.sent[value] = true
		l.mu.Unlock()
		client.Produce(ctx, kgo.StringRecord(value), func(r *kgo.Record, err error) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("produce %s: %v", r.Value, err)
				}
				return
			}
			l.mu.Lock()
			l.acked[string(r.Value)] = true
			l.mu.Unlock()
		})
	}
}

// quickly keeps a client from backing off for longer than a restart takes.
func quickly(int) time.Duration { return 20 * time.Millisecond }

// transact runs transactions one after the other; after a failure a new client
// takes over the transactional id, as a restarted application would.
func (l *ledger) transact(ctx context.Context, t *testing.T, bootstrap, id string) {
	for run := 0; ctx.Err() == nil; run++ {
		client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.DefaultProduceTopic(txnTopic), kgo.TransactionalID(id),
			kgo.TransactionTimeout(5*time.Second), kgo.RetryBackoffFn(quickly), kgo.MetadataMinAge(quickly(0)), kgo.RetryTimeout(10*time.Second))
		if err != nil {
			t.Error(err)
			return
		}
		for n := 0; ctx.Err() == nil; n++ {
			if err := l.transaction(ctx, client, fmt.Sprintf("%s/%d/%d", id, run, n), n%3 != 2); err != nil {
				break
			}
		}
		client.Close()
	}
}

// transaction writes five values and ends the transaction.
func (l *ledger) transaction(ctx context.Context, client *kgo.Client, name string, commit bool) error {
	l.setFate(name, unknown)
	if !commit {
		l.setFate(name, aborted) // nothing but a commit request can make it visible
	}
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for i := range 5 {
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, "%s:%d", name, i), Key: fmt.Appendf(nil, "%d", i)})
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		l.setFate(name, aborted)
		return errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		return err
	}
	if commit {
		l.setFate(name, committed)
	}
	return nil
}

func (l *ledger) setFate(name string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.txns[name] = f
}

// awaitStable waits until no transaction is open: new clients take over the
// ids and abort what was left, so the last stable offset reaches the high
// watermark.
func awaitStable(t *testing.T, bootstrap string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for {
		stable, err := admin.ListCommittedOffsets(ctx, txnTopic)
		if err != nil {
			t.Fatal(err)
		}
		end, err := admin.ListEndOffsets(ctx, txnTopic)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		end.Each(func(o kadm.ListedOffset) {
			if s, ok := stable.Lookup(o.Topic, o.Partition); !ok || s.Offset != o.Offset {
				open++
			}
		})
		if open == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d partitions still have an open transaction", open)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// readAll counts the values that a reader of committed data sees.
func readAll(t *testing.T, bootstrap, topic string) map[string]int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := endsOf(ctx, client, []string{topic}, &consumeFlags{offset: "start"})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for !ends.reached() {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			ends.has(r)
			if !r.Attrs.IsControl() {
				found[string(r.Value)]++
			}
		})
	}
	return found
}

// compare holds the log against the ledger.
func (l *ledger) compare(t *testing.T, plain, txns map[string]int) {
	t.Helper()
	for value := range l.acked {
		if plain[value] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", value, plain[value])
		}
	}
	for value, n := range plain {
		if !l.sent[value] || n != 1 {
			t.Errorf("%s is there %d times, sent %v", value, n, l.sent[value])
		}
	}
	for name, f := range l.txns {
		seen := 0
		for i := range 5 {
			n := txns[fmt.Sprintf("%s:%d", name, i)]
			if n > 1 {
				t.Errorf("%s:%d is there %d times", name, i, n)
			}
			seen += n
		}
		switch {
		case f == committed && seen != 5:
			t.Errorf("transaction %s was committed, %d of 5 records are visible", name, seen)
		case f == aborted && seen != 0:
			t.Errorf("transaction %s was aborted, %d of 5 records are visible", name, seen)
		case seen != 0 && seen != 5:
			t.Errorf("transaction %s is torn: %d of 5 records are visible", name, seen)
		}
	}
	t.Logf("%d acknowledged records, %d transactions", len(l.acked), len(l.txns))
}
