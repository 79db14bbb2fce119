package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/oncelog/oncelog/conformance/verify"
)

// TestFullDiskOnOneOfThreeProcesses fills the disk of one of three brokers under a
// load: its replicas go offline, the other two serve on, and with room again it
// comes back by itself. In the end all that clients were told is judged, and the
// three folders hold the same (promises 23 and 26).
func TestFullDiskOnOneOfThreeProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes, and a partition comes back from a full disk after seconds")
	}
	dir := t.TempDir()
	small := filepath.Join(dir, "3")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	smallDisk(t, small)
	c := &filling{
		trio: newTrio(t, dir, "default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.replication.factor=3",
			"transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2", "offsets.topic.num.partitions=5",
			"transaction.state.log.num.partitions=5", "group.initial.rebalance.delay.ms=0", "replica.lag.time.max.ms=2000"),
		recorder: verify.NewRecorder(),
	}
	load, err := verify.Start(t.Context(), c.recorder, verify.Options{Brokers: c.addresses(), TransactionTimeout: 2 * time.Second, Settle: chaosSettle, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.round("before")
	ballast := fill(t, small)
	giveUp := c.keepFull(ballast)
	c.await("broker 3 tells of a partition that is offline", func() bool {
		return strings.Contains(c.processes[2].errs.String(), `"partition offline"`)
	})
	c.round("full")
	behind := 0
	c.await("partitions are led without broker 3, whose disk is full", func() bool {
		behind, _ = c.lacking(3)
		return behind >= 3 // what was allocated before lasts some partitions for a while
	})
	t.Logf("%d partitions are led without broker 3", behind)
	c.round("still full")
	giveUp()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	room := time.Now()
	c.await("no partition lacks broker 3, which has room", func() bool {
		behind, leaderless := c.lacking(3)
		return behind == 0 && leaderless == 0
	})
	t.Logf("all replicas are in sync %v after there is room", time.Since(room).Round(time.Millisecond))
	c.round("after")
	if err := load.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	c.judge(dir)
}

// A filling is three brokers under a load, of which one runs out of disk.
type filling struct {
	*trio
	recorder *verify.Recorder
}

// round waits until clients were told enough that is new; all brokers live.
func (c *filling) round(when string) {
	c.Helper()
	c.recorder.Add(verify.Event{Kind: verify.Round})
	before := c.recorder.Tally()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	err := c.recorder.Await(ctx, func(t verify.Tally) bool {
		return t.Acked >= before.Acked+roundAcked && t.Ended >= before.Ended+roundEnded
	})
	now := c.recorder.Tally()
	if err != nil {
		c.Fatalf("%s: only %d acknowledged records and %d ended transactions in a minute", when, now.Acked-before.Acked, now.Ended-before.Ended)
	}
	c.Logf("%s: %d acknowledged records and %d ended transactions in %v", when, now.Acked-before.Acked, now.Ended-before.Ended, time.Since(began).Round(time.Millisecond))
	for i, p := range c.processes {
		select {
		case <-p.done:
			c.Fatalf("%s: broker %d ended, saying:\n%s", when, i+1, p.errs)
		default:
		}
	}
}

// keepFull takes the room that a replica leaves when it goes offline, until it is
// told to give up.
func (c *filling) keepFull(ballast string) (giveUp func()) {
	ctx, cancel := context.WithCancel(c.Context())
	var filler sync.WaitGroup
	filler.Go(func() {
		file, err := os.OpenFile(ballast, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			c.Error(err)
			return
		}
		defer file.Close()
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for block := make([]byte, 4096); ; {
			if _, err := file.Write(block); err == nil {
				continue
			} else if !errors.Is(err, syscall.ENOSPC) {
				c.Error(err)
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		filler.Wait()
	}
}

// await asks until something is so, for a minute.
func (c *filling) await(what string, so func() bool) {
	c.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); !so(); <-ticker.C {
		if time.Now().After(deadline) {
			c.Fatalf("not within a minute: %s; broker 3 said:\n%s", what, c.processes[2].errs)
		}
	}
}

// lacking counts the partitions, internal ones too, that are led but lack a
// broker's replica, and those that are not led.
func (c *filling) lacking(node int32) (behind, leaderless int) {
	c.Helper()
	client := c.client()
	defer client.Close()
	meta, err := kadm.NewClient(client).Metadata(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
		switch {
		case p.Leader < 0:
			leaderless++
		case !slices.Contains(p.ISR, node):
			behind++
		}
	})
	return behind, leaderless
}

// judge wants no anomaly in what clients were told, and no difference between the
// folders of the brokers, which it ends.
func (c *filling) judge(dir string) {
	c.Helper()
	verdict := verify.Judge(c.recorder.History(), verify.Floors{Acked: roundAcked, Ended: roundEnded, Committed: 20, Aborted: 2, Transformed: 20, Read: 500})
	for i, a := range verdict.Anomalies {
		if i == 10 {
			c.Errorf("and %d more", len(verdict.Anomalies)-i)
			break
		}
		c.Error(a)
	}
	for _, floor := range verdict.Missed {
		c.Errorf("inconclusive: %s", floor)
	}
	c.Logf("%+v", verdict.Figures)
	for _, p := range c.processes {
		stopCleanly(c.T, p)
	}
	replicas, err := compareReplicas(c.Context(), dir)
	if err != nil {
		c.Fatal(err)
	}
	for _, d := range replicas.differences {
		c.Error(d)
	}
	if replicas.Partitions == 0 || replicas.Entries == 0 {
		c.Errorf("compared %+v, want entries of all partitions", replicas)
	}
	c.Logf("replicas: %+v", replicas)
}
