package bench

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/log/vfs"
)

// target runs a broker in this process, in memory, for as long as the test.
func target(t *testing.T) string {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Config{
		FS:         vfs.NewMem(),
		Logger:     slog.New(slog.DiscardHandler),
		Properties: map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/bench"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}

// small is a run of a few hundred records.
func small(kind Kind) Settings {
	s := Default(kind)
	s.Warmup, s.Duration, s.Rate, s.Records, s.Producers, s.Consumers, s.Partitions = 0, 0, 0, 500, 2, 2, 3
	if kind == Txn {
		s.Records, s.AbortRatio = 40, 0.25
	}
	return s
}

// measure runs against addr with further client options.
func measure(ctx context.Context, addr string, kind Kind, s Settings, extra ...kgo.Opt) (Report, error) {
	return Run(ctx, Options{
		Kind: kind, Settings: s, Brokers: []string{addr}, Client: "test", Timeout: 20 * time.Second,
		Dial: func(_ context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(append(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...), extra...)...)
		},
	})
}

// topics are the topics that are left.
func topics(t *testing.T, addr string) []string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	left, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return left.Names()
}

func TestEachKind(t *testing.T) {
	addr := target(t)
	for _, kind := range []Kind{Produce, Consume, EndToEnd, Txn} {
		t.Run(string(kind), func(t *testing.T) {
			s := small(kind)
			s.ReadBack = true
			r, err := measure(t.Context(), addr, kind, s)
			if err != nil || !r.OK() {
				t.Fatalf("%v; %s", err, r.verdict())
			}
			// Two records are written before the clock runs; all of them are read when consuming.
			written, records := int64(502), int64(500)
			switch kind {
			case Consume:
				records = 502
			case Txn:
				written, records = 302, 300
				if *r.Transactions != (Transactions{30, 10, r.Transactions.CommitsPerSecond}) {
					t.Errorf("%+v", r.Transactions)
				}
			}
			if r.Check.Written != written || r.Check.Read != written || r.Records != records || r.Bytes != records*1024 {
				t.Errorf("measured %d records in %d bytes, want %d; %s, want %d", r.Records, r.Bytes, records, r.verdict(), written)
			}
			if r.Seconds <= 0 || r.RecordsPerSecond <= 0 || len(r.Series) == 0 || len(r.Latency) == 0 {
				t.Errorf("a figure is missing: %+v", r)
			}
			if left := topics(t, addr); len(left) > 0 {
				t.Errorf("topics %v are left", left)
			}
		})
	}
}

func TestRateAndDuration(t *testing.T) {
	s := small(EndToEnd)
	s.Records, s.Rate, s.Warmup, s.Duration = 0, 400, Seconds(100*time.Millisecond), Seconds(500*time.Millisecond)
	r, err := measure(t.Context(), target(t), EndToEnd, s)
	if err != nil || !r.OK() {
		t.Fatalf("%v; %s", err, r.verdict())
	}
	// Exactly those due within the half second are in the latencies, however late they came.
	if r.Seconds != 0.5 || r.Latency["e2e"].Count != 200 || r.Latency["ack"].Count != 200 || r.Check.Written != 242 {
		t.Errorf("%v seconds, %+v, %s", r.Seconds, r.Latency, r.verdict())
	}
}

func TestConsumeAgainAndAgain(t *testing.T) {
	s := small(Consume)
	s.Duration = Seconds(500 * time.Millisecond)
	r, err := measure(t.Context(), target(t), Consume, s)
	if err != nil || !r.OK() || r.Check.Read <= 502 {
		t.Errorf("%v; %s; want more than the 502 written", err, r.verdict())
	}
}

func TestGivenTopicIsReadAndStays(t *testing.T) {
	addr := target(t)
	s := small(Produce)
	s.Topic = "orders"
	for _, before := range []string{"made", "found"} {
		if r, err := measure(t.Context(), addr, Produce, s); err != nil || !r.OK() || r.Check.Stored != 502 {
			t.Fatalf("topic %s: %v; %s", before, err, r.verdict())
		}
	}
	s = small(Consume)
	s.Topic, s.Records = "orders", 0
	r, err := measure(t.Context(), addr, Consume, s)
	if err != nil || !r.OK() || r.Records != 1004 {
		t.Errorf("%v; %d records; %s", err, r.Records, r.verdict())
	}
	if left := topics(t, addr); len(left) != 1 || left[0] != "orders" {
		t.Errorf("topics %v, want orders alone", left)
	}
}

// afterRecords calls do once, when so many records were given to producers.
type afterRecords struct {
	left atomic.Int64
	do   func()
}

func (a *afterRecords) OnProduceRecordBuffered(*kgo.Record) {
	if a.left.Add(-1) == 0 {
		a.do()
	}
}

func TestInterrupted(t *testing.T) {
	addr := target(t)
	for _, kind := range []Kind{Produce, Consume, EndToEnd, Txn} {
		t.Run(string(kind), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := small(kind)
			s.Records = 1 << 40
			hook := &afterRecords{do: cancel}
			hook.left.Store(300)
			r, err := measure(ctx, addr, kind, s, kgo.WithHooks(hook))
			if err != nil || !r.Interrupted || !r.Check.OK || r.Check.Written == 0 {
				t.Errorf("%v; interrupted %t; %s", err, r.Interrupted, r.verdict())
			}
			if left := topics(t, addr); len(left) > 0 {
				t.Errorf("topics %v are left", left)
			}
		})
	}
}

// spoil changes a byte of the records that a consumer is given.
type spoil struct{}

func (spoil) OnFetchRecordUnbuffered(r *kgo.Record, _ bool) {
	if r.Offset == 3 && len(r.Value) > headerSize {
		r.Value[headerSize]++
	}
}

func TestWrongDataIsTold(t *testing.T) {
	r, err := measure(t.Context(), target(t), EndToEnd, small(EndToEnd), kgo.WithHooks(spoil{}))
	if err != nil || r.OK() || r.Check.Damaged != 3 || r.Check.Missing != 3 || len(r.Check.Problems) != 2 {
		t.Errorf("%v; %s; want the fourth record of each partition damaged", err, r.verdict())
	}
}

func TestFailedRecordsAreErrors(t *testing.T) {
	s := small(Produce)
	s.Size, s.BatchBytes = 4096, 1024 // no record fits
	r, err := measure(t.Context(), target(t), Produce, s)
	if err != nil || r.OK() || r.Errors == 0 || !strings.Contains(r.FirstError, "MESSAGE_TOO_LARGE") {
		t.Errorf("%v; %d errors, %q", err, r.Errors, r.FirstError)
	}
}

func TestRemoteClusterIsRefused(t *testing.T) {
	_, err := measure(t.Context(), "192.0.2.1:9092", Produce, small(Produce))
	if !errors.Is(err, conformance.ErrRemote) || !strings.Contains(err.Error(), "--yes-this-cluster") {
		t.Errorf("%v, want a refusal that says how to go on", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"no partition":      func(s *Settings) { s.Partitions = 0 },
		"records too small": func(s *Settings) { s.Size = headerSize - 1 },
		"no producer":       func(s *Settings) { s.Producers = 0 },
		"negative rate":     func(s *Settings) { s.Rate = -1 },
		"no end":            func(s *Settings) { s.Records, s.Duration = 0, 0 },
		"negative warm-up":  func(s *Settings) { s.Warmup = -1 },
		"abort ratio":       func(s *Settings) { s.AbortRatio = 1.5 },
		"acks too weak":     func(s *Settings) { s.Acks = "1" },
		"unknown acks":      func(s *Settings) { s.Acks = "2" },
		"unknown codec":     func(s *Settings) { s.Compression = "brotli" },
		"no buffer":         func(s *Settings) { s.MaxBuffered = 0 },
		"empty transaction": func(s *Settings) { s.TransactionSize = 0 },
	} {
		s := Default(Txn)
		change(&s)
		if err := s.Check(Txn); !errors.Is(err, ErrSettings) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Default(Txn).Check(Txn); err != nil {
		t.Error(err)
	}
}
