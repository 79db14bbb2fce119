package proxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// outcome waits for one hit of a rule, and tells what came of it.
func (s *stand) outcome(id string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Hour)
	defer cancel()
	if err := s.faults.Wait(ctx, id, 1); err != nil {
		s.Fatal(err)
	}
	return s.faults.Hits(id)[0].Outcome
}

func (s *stand) want(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s: %q, want %q", what, got, want)
	}
}

// ready is a client without idempotence that has produced once, so that it need not ask
// for anything when faults begin.
func (s *stand) ready(opts ...kgo.Opt) *kgo.Client {
	s.Helper()
	client := s.client(append(opts, kgo.DisableIdempotentWrite())...)
	s.produce(client, "first")
	return client
}

func TestActsOnARequest(t *testing.T) {
	for line, want := range map[string]struct{ outcome, stored string }{
		"drop":                   {"not passed on", "first a b"},
		"close":                  {"passed on; no answer was waited for", ""}, // what the broker does then is not known
		"close at=answer":        {"the broker answered NONE, of which half was passed on", "first a a b"},
		"lose-answer":            {"the broker answered NONE, which was lost", "first a a b"},
		"delay for=1s":           {"delayed by 1s", "first a b"},
		"delay for=1s at=answer": {"the broker answered NONE, which was delayed by 1s", "first a b"},
		"duplicate":              {"sent again; the broker answered NONE", "first a a b"},
		"error code=6":           {"answered NOT_LEADER_FOR_PARTITION", "first a b"},
		"error code=6 at=answer": {"the broker answered NONE, which was made NOT_LEADER_FOR_PARTITION", "first a a b"},
		"reorder for=1s":         {"nobody overtook it within 1s", "first a b"},
		"drop then=hang":         {"not passed on", "first a b"},
		"lose-answer then=hang":  {"the broker answered NONE, which was lost", "first a a b"},
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				client := s.ready(kgo.RequestTimeoutOverhead(2*time.Second), kgo.ProduceRequestTimeout(time.Second))
				id := s.rule(line + " api=Produce topic=orders")
				s.produce(client, "a")
				s.want("outcome", s.outcome(id), want.outcome)
				end := s.produce(client, "b").Offset + 1
				if want.stored != "" {
					s.want("stored", strings.Join(s.stored("orders", end), " "), want.stored)
				}
			})
		})
	}
}

// A request that is held is overtaken by one of another connection.
func TestReorderAcrossConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		one, two := s.ready(), s.ready()
		id := s.rule("reorder behind=1 for=1h api=Produce topic=orders")
		first := make(chan error, 1)
		go func() {
			first <- one.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("a")}).FirstErr()
		}()
		synctest.Wait() // it waits in the proxy
		s.produce(two, "b")
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		s.want("outcome", s.outcome(id), "overtaken by 1")
		s.want("stored", strings.Join(s.stored("orders", 4), " "), "first first b a")
	})
}

// A copy that comes late, on another connection, is what idempotence knows for a
// duplicate.
func TestALateCopyIsKnownToIdempotence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		client := s.client()
		s.produce(client, "first")
		id := s.rule("duplicate after=10s api=Produce topic=orders")
		s.produce(client, "a")
		s.want("outcome", s.outcome(id), "sent again; the broker answered NONE")
		end := s.produce(client, "b").Offset + 1
		s.want("stored", strings.Join(s.stored("orders", end), " "), "first a b")
	})
}

// An error takes the place that the answer has for it, whatever the API.
func TestAnErrorIsAnswered(t *testing.T) {
	coordinator := kmsg.NewPtrFindCoordinatorRequest()
	coordinator.CoordinatorKeys = []string{"g"}
	offsets := kmsg.NewPtrOffsetCommitRequest()
	offsets.Group = "g"
	offsets.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 3}}}}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID = 3, "t"
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "orders", Partitions: []int32{1, 2}}}
	for name, c := range map[string]struct {
		request kmsg.Request
		code    func(kmsg.Response) []int16
	}{
		"top level": {kmsg.NewPtrInitProducerIDRequest(), func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.InitProducerIDResponse).ErrorCode} }},
		"partition": {offsets, func(r kmsg.Response) []int16 {
			topic := r.(*kmsg.OffsetCommitResponse).Topics[0]
			if topic.Topic != "orders" || topic.Partitions[0].Partition != 3 {
				t.Errorf("the answer is of %+v", topic)
			}
			return []int16{topic.Partitions[0].ErrorCode}
		}},
		"partitions by number": {add, func(r kmsg.Response) (codes []int16) {
			for _, p := range r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions {
				codes = append(codes, p.ErrorCode, int16(p.Partition))
			}
			return codes
		}},
	} {
		c.request.SetVersion(min(c.request.MaxVersion(), 4))
		if name == "partitions by number" {
			c.request.SetVersion(3)
		}
		response, err := refusal(c.request, kerr.NotCoordinator.Code)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, code := range c.code(response) {
			if name == "partitions by number" && i%2 == 1 {
				if code != int16(i/2+1) {
					t.Errorf("%s: partition %d", name, code)
				}
				continue
			}
			if code != kerr.NotCoordinator.Code {
				t.Errorf("%s: code %d, want %d", name, code, kerr.NotCoordinator.Code)
			}
		}
	}
	if _, err := refusal(kmsg.NewPtrMetadataRequest(), kerr.NotCoordinator.Code); err == nil {
		t.Error("a Metadata without topics has no place for an error, and got one")
	}
}

// The end of a client's connection ends what its request waits for.
func TestClosingEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		client := s.ready()
		id := s.rule("delay for=24h api=Produce topic=orders")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders"}).FirstErr(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want no answer in time", err)
		}
		if err := s.proxy.Close(); err != nil {
			t.Error(err)
		}
		s.want("outcome", s.outcome(id), "the connection ended first")
	})
}
