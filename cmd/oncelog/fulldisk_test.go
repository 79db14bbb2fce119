package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/conformance/verify"
)

// ballastTopic is no topic of the load: its records only take room.
const ballastTopic = "ballast"

// TestFullDisk fills the disk under a load: produce is refused with
// KAFKA_STORAGE_ERROR, fetch goes on, the broker lives, and with room again the
// load goes on and nothing of what it was told is untrue (promise 26).
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("a partition comes back from a full disk after seconds")
	}
	c := newCrash(t, 1, smallDisk(t, t.TempDir()))
	if code, _, errOut := execute(t, "", "topic", "create", ballastTopic, "-b", c.p.Bootstrap); code != exitOK {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	load := c.load(1)
	c.awaitProgress(0)
	acked := c.recorder.Tally().Acked
	ballast := fill(t, c.dir)
	c.awaitRefusal()
	c.readAll(acked)
	c.awaitSaid(`"partition offline","topic":"verify-plain"`)
	select {
	case <-c.p.done:
		t.Fatalf("the broker ended, saying:\n%s", c.p.errs)
	default:
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.recorder.Add(verify.Event{Kind: verify.Round})
	c.awaitProgress(1)
	c.kill()
	c.start(false)
	c.finish(load, 1)
}

// smallDisk makes a folder a file system of a few megabytes.
func smallDisk(t *testing.T, dir string) string {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "oncelog-test", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system that can be filled wants the right to mount one: %v, %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v, %s", err, out)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, dir string) (name string) {
	t.Helper()
	name = filepath.Join(dir, "ballast")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return name
}

// awaitSaid waits for a line of the broker's log.
func (c *crash) awaitSaid(part string) {
	c.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.p.errs.String(), part); <-ticker.C {
		if time.Now().After(deadline) {
			c.Fatalf("the broker did not say %s; it said:\n%s", part, c.p.errs)
		}
	}
}

// readAll wants so many records from a broker whose disk is full.
func (c *crash) readAll(want int) {
	c.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.p.Bootstrap), kgo.ConsumeRegex(), kgo.ConsumeTopics("verify-.*"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	seen := 0
	for seen < want && ctx.Err() == nil {
		seen += client.PollFetches(ctx).NumRecords()
	}
	if seen < want {
		c.Errorf("%d records can be read from a full disk, %d were acknowledged before", seen, want)
	}
}

// awaitRefusal produces until the broker refuses, as it has to for want of room.
func (c *crash) awaitRefusal() {
	c.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.p.Bootstrap), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	record := &kgo.Record{Topic: ballastTopic, Value: make([]byte, 1000)}
	for err == nil {
		err = client.ProduceSync(ctx, record).FirstErr()
	}
	if !errors.Is(err, kerr.KafkaStorageError) {
		c.Errorf("produce to a full disk: %v, want KAFKA_STORAGE_ERROR", err)
	}
}
