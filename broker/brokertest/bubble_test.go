package brokertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// newClient is a franz-go client of s, closed when the test ends.
func newClient(t *testing.T, s *brokertest.Server, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// A transaction that its producer leaves alone is aborted after its time-out:
// readers of committed data wait for 60 s, and never see its record.
func TestTransactionTimesOutAfterVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{})
		producer := newClient(t, s, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.TransactionalID("id"), kgo.TransactionTimeout(time.Minute))
		plain := newClient(t, s, kgo.DefaultProduceTopic("t"))
		reader := newClient(t, s, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord("left alone")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := plain.ProduceSync(t.Context(), kgo.StringRecord("behind it")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		waited := time.Since(start)
		if waited < 59*time.Second || waited > 62*time.Second {
			t.Errorf("the last stable offset moved after %v, want a minute", waited)
		}
		records := fetches.Records()
		if len(records) != 1 || string(records[0].Value) != "behind it" {
			t.Errorf("read %d records, want the committed one", len(records))
		}
		if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the commit after the time-out succeeded")
		}
	})
}

// A static member that comes back within its session has its partitions again
// and the group no new generation (KIP-345).
func TestStaticMemberReturnsWithinItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{})
		if err := s.EnsureTopic(t.Context(), "t", 2); err != nil {
			t.Fatal(err)
		}
		stable := func() {
			t.Helper()
			groups, err := kadm.NewClient(newClient(t, s)).DescribeGroups(t.Context(), "g")
			if err != nil {
				t.Fatal(err)
			}
			if g := groups["g"]; g.State != "Stable" || len(g.Members) != 2 {
				t.Fatalf("group is %s with %d members, want Stable with 2", g.State, len(g.Members))
			}
		}
		member := func(instance string) *kgo.Client {
			return newClient(t, s, kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.InstanceID(instance),
				kgo.SessionTimeout(45*time.Second), kgo.Balancers(kgo.RangeBalancer()))
		}
		poll := func(c *kgo.Client, d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			c.PollFetches(ctx)
		}
		one, two := member("one"), member("two")
		poll(one, 10*time.Second)
		poll(two, 10*time.Second)
		stable()
		_, before := two.GroupMetadata()
		two.Close() // a static member does not leave
		time.Sleep(30 * time.Second)
		two = member("two")
		poll(two, 10*time.Second)
		stable()
		if _, after := two.GroupMetadata(); after != before {
			t.Errorf("generation %d after the return, %d before", after, before)
		}
		poll(one, time.Second)
		if _, still := one.GroupMetadata(); still != before {
			t.Errorf("the other member is in generation %d, want %d", still, before)
		}
	})
}

// A transactional id that nobody uses is forgotten after seven days, and not
// before (transactional.id.expiration.ms).
func TestTransactionalIDExpiresAfterSevenVirtualDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{})
		client := newClient(t, s)
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionalID, r.TransactionTimeoutMillis = kmsg.StringPtr("id"), 60_000
		resp, err := r.RequestWith(t.Context(), client)
		if err := errors.Join(err, kerr.ErrorForCode(resp.ErrorCode)); err != nil {
			t.Fatal(err)
		}
		known := func() bool {
			t.Helper()
			all, err := kadm.NewClient(client).ListTransactions(t.Context(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, ok := all["id"]
			return ok
		}
		time.Sleep(7*24*time.Hour - time.Minute)
		if !known() {
			t.Error("forgotten before seven days")
		}
		time.Sleep(time.Hour + 2*time.Minute)
		if known() {
			t.Error("still known an hour after seven days")
		}
	})
}

// What was acked is there when a broker starts again over the same files, and
// the offsets that a group committed are too.
func TestRestartKeepsRecordsAndOffsets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{})
		options := []kgo.Opt{kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation(), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
		first := newClient(t, s, options...)
		for _, value := range []string{"a", "b"} {
			if err := first.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if fetches := first.PollFetches(t.Context()); fetches.NumRecords() != 1 || fetches.Err() != nil {
				t.Fatalf("%d records, %v", fetches.NumRecords(), fetches.Err())
			}
			if value == "a" {
				if err := first.CommitUncommittedOffsets(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		first.Close()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s = brokertest.Start(t, brokertest.Options{FS: s.FS, Network: s.Network})
		records := newClient(t, s, options...).PollFetches(t.Context()).Records()
		if len(records) != 1 || string(records[0].Value) != "b" || records[0].Offset != 1 {
			t.Errorf("%d records after the restart, want the one behind the committed offset", len(records))
		}
	})
}
