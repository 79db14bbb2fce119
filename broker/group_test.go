package broker_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// consume polls until as many records were read as wanted.
func consume(t *testing.T, c *kgo.Client, want int) (values []string) {
	t.Helper()
	for len(values) < want {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		f := c.PollFetches(ctx)
		cancel()
		if err := f.Err(); err != nil {
			t.Fatalf("after %q: %v", values, err)
		}
		f.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestGroupSeesNothingOfATopicMadeAgain(t *testing.T) { // hard-36
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		admin := kadm.NewClient(client(t, s))
		send(t, client(t, s), "a", "b", "c")
		group := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
		first := client(t, s, group...)
		consume(t, first, 3)
		if err := first.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		first.Close()
		if _, err := admin.DeleteTopic(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		if err := s.EnsureTopic(t.Context(), "orders", 2); err != nil {
			t.Fatal(err)
		}
		send(t, client(t, s), "new")
		if got := consume(t, client(t, s, group...), 1); !slices.Equal(got, []string{"new"}) {
			t.Errorf("got %q, want the first record of the new topic", got)
		}
		time.Sleep(time.Minute) // tombstones of the old offsets
		offsets, err := admin.FetchOffsets(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup("orders", 0); ok && o.At > 1 {
			t.Errorf("offset %d of a topic with one record", o.At)
		}
	})
}

func TestOffsetsOfAnEmptyGroupExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{Properties: map[string]string{"offsets.retention.minutes": "120", "offsets.retention.check.interval.ms": "600000"}})
		admin := kadm.NewClient(client(t, s))
		send(t, client(t, s), "a")
		c := client(t, s, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		consume(t, c, 1)
		if err := c.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Close() // leaves
		left := func() (kadm.OffsetResponses, bool) {
			offsets, err := admin.FetchOffsets(t.Context(), "g")
			if err != nil {
				t.Fatal(err)
			}
			_, ok := offsets.Lookup("orders", 0)
			return offsets, ok
		}
		time.Sleep(110 * time.Minute)
		if _, ok := left(); !ok {
			t.Error("the offset is gone before its time")
		}
		time.Sleep(30 * time.Minute)
		if offsets, ok := left(); ok {
			t.Errorf("the offset is still there: %v", offsets)
		}
		groups, err := admin.ListGroups(t.Context())
		if err != nil || len(groups) != 0 {
			t.Errorf("groups: %v, %v", groups, err)
		}
	})
}

func TestMembersShareAndTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		group := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.Balancers(kgo.CooperativeStickyBalancer()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond)}
		a, b := client(t, s, group...), client(t, s, group...)
		producer := client(t, s)
		write := func(value string) {
			for p := range int32(2) {
				if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(10 * time.Second) // both rounds of the rebalance
		write("shared")
		if got := append(consume(t, a, 1), consume(t, b, 1)...); len(got) != 2 {
			t.Errorf("got %q, want one record for each", got)
		}
		for _, c := range []*kgo.Client{a, b} {
			if err := c.CommitUncommittedOffsets(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		time.Sleep(10 * time.Second)
		write("alone")
		if got := consume(t, b, 2); !slices.Equal(got, []string{"alone", "alone"}) {
			t.Errorf("got %q, want both records, none again", got)
		}
	})
}
