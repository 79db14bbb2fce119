package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/broker/fault"
)

// A stand is a broker in memory and a proxy before it.
type stand struct {
	*testing.T
	broker *brokertest.Server
	proxy  *Proxy
	faults *fault.Set
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{T: t, broker: brokertest.Start(t, brokertest.Options{Properties: map[string]string{"auto.create.topics.enable": "true"}}), faults: new(fault.Set)}
	s.proxy = openBefore(t, s.faults, s.broker.Network, s.broker.Address())
	return s
}

// openBefore puts a proxy on the brokers' network, and closes it when the test ends.
func openBefore(t *testing.T, faults *fault.Set, network network, upstream string) *Proxy {
	t.Helper()
	config := Config{Upstream: []string{upstream}, Listen: "127.0.0.1:19092", Faults: faults, Listener: network.Listen, Dial: network.Dial}
	if testing.Verbose() {
		config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	p, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// client reaches nothing but the proxy's ports.
func (s *stand) client(opts ...kgo.Opt) *kgo.Client {
	s.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(s.proxy.Address()), kgo.Dialer(s.onlyProxy), kgo.AllowAutoTopicCreation(), kgo.ClientID("app")}, opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	return client
}

func (s *stand) rule(line string) string {
	s.Helper()
	r, err := fault.Parse(line)
	if err != nil {
		s.Fatal(err)
	}
	id, err := s.faults.Add(r)
	if err != nil {
		s.Fatal(err)
	}
	return id
}

// stored reads a topic to its end.
func (s *stand) stored(topic string, end int64) (values []string) {
	s.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Address()), kgo.Dialer(s.broker.Dial), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.Fatal(err)
	}
	defer client.Close()
	for last := int64(-1); last < end-1; {
		fetches := client.PollFetches(s.Context())
		if err := fetches.Err(); err != nil {
			s.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values, last = append(values, string(r.Value)), r.Offset })
	}
	return values
}

func (s *stand) produce(client *kgo.Client, value string) *kgo.Record {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	r, err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte(value)}).First()
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func TestFranzGoRunsThroughTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		client := s.client(kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		for i := range 5 {
			s.produce(client, fmt.Sprint(i))
		}
		for n := 0; n < 5; {
			fetches := client.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if string(r.Value) != fmt.Sprint(n) {
					t.Errorf("record %d is %s", n, r.Value)
				}
				n++
			})
		}
		if err := client.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What the article calls at least once: the broker has it, the producer does not know.
func TestALostAnswerDoublesWithoutIdempotenceOnly(t *testing.T) {
	for idempotent, want := range map[bool]string{false: "a a b", true: "a b"} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				id := s.rule("lose-answer api=Produce topic=orders")
				var opts []kgo.Opt
				if !idempotent {
					opts = append(opts, kgo.DisableIdempotentWrite())
				}
				client := s.client(opts...)
				if idempotent {
					if _, _, err := client.ProducerID(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				s.produce(client, "a")
				end := s.produce(client, "b").Offset + 1
				if err := s.faults.Wait(t.Context(), id, 1); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(s.stored("orders", end), " "); got != want {
					t.Errorf("idempotence %v: stored %q, want %q; hits %+v", idempotent, got, want, s.faults.Hits(id))
				}
			})
		}
	}
}
