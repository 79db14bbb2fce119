package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/log/vfs"
)

// inProcess runs a broker inside the test, in memory, and returns its address.
func inProcess(t *testing.T) string {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Config{
		FS:     vfs.NewMem(),
		Logger: slog.New(slog.DiscardHandler),
		Properties: map[string]string{
			"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/in-process", "group.initial.rebalance.delay.ms": "0",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}

// TestConformance holds a broker in this process against every case of the
// suite, which Apache Kafka passes, but for those that need several.
func TestConformance(t *testing.T) {
	options := conformance.Options{Brokers: []string{inProcess(t)}, Parallel: 4, Strict: true, Timeout: time.Minute}
	report, err := conformance.Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if alone := result.Verdict == conformance.Skip && strings.HasSuffix(result.Reason, "brokers, has 1"); result.Verdict != conformance.Pass && !alone {
			t.Errorf("%s", result.Text(options.Brokers))
		}
	}
	t.Log(report.Summary())
}
