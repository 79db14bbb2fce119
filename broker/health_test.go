package broker

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/record"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestReadyEndsWithClose(t *testing.T) {
	b, _ := open(t, nil)
	withTopic(t, b, "t", 2)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, b.Handler(), path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, body := get(t, b.Handler(), "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "closed") {
		t.Errorf("after Close: %d %s", code, body)
	}
}

func TestMetricsCountWhatWasDone(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 1)
	batch := batchOf(record.NoProducer(), "a", "b")
	put(t, b, "t", 0, bytes.Clone(batch), nil)
	ask(t, b, getting(12, topic, 0), kmsg.NewPtrFetchResponse())
	b.metrics.request([]byte{0, 1}, 3*time.Millisecond)
	_, page := get(t, b.Handler(), "/metrics")
	for _, want := range []string{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="t"} 2`,
		`kafka_topic_partition_current_offset{partition="0",topic="t"} 2`,
		`kafka_server_replicamanager_leadercount 1`,
		`kafka_network_requestmetrics_totaltimems{request="Fetch",quantile="0.5"} 3.072`,
		`oncelog_ready 1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no line %s", want)
		}
	}
	if err := b.metadata.DeleteTopic(t.Context(), topic.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.topics.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, page := get(t, b.Handler(), "/metrics"); strings.Contains(page, `kafka_topic_partition_current_offset{partition="0",topic="t"}`) {
		t.Error("a deleted topic is still told of")
	}
}

// Each bucket ends where the next begins, and holds what lies in it.
func TestTimeBuckets(t *testing.T) {
	for us := int64(4); us < 1<<20; us = us*9/8 + 1 {
		took := time.Duration(us) * time.Microsecond
		bucket := timeBucket(took)
		ms := float64(us) / 1000
		if ms >= bucketTime(bucket) || bucket > 0 && ms < bucketTime(bucket-1) {
			t.Errorf("%v is in the bucket from %v to %v ms", took, bucketTime(bucket-1), bucketTime(bucket))
		}
	}
}

// The context of Open bounds the start: a broker serves on when it ends.
func TestServesBeyondTheContextOfItsStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	network := memnet.New()
	b, err := Open(ctx, Config{FS: vfs.NewMem(), Listen: network.Listen, Dial: network.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	cancel()
	if err := b.EnsureTopic(t.Context(), "t", 1); err != nil {
		t.Errorf("after the end of the start's context: %v", err)
	}
	if err := b.WaitReady(t.Context(), b.MetadataOffset()); err != nil {
		t.Error(err)
	}
}
