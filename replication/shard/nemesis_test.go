package shard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// TestNemesis has clients count up while leadership comes and goes, appends are
// held, refused, lost, or stored without an answer, and tails are cut. In the log
// that remains every key counts 1, 2, 3 without a gap or a repeat, so no decision
// was ever made on a view that missed a record; and every answer is in it.
func TestNemesis(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, fmt.Sprintf("hard-18 seed %d", seed), func(t *testing.T) {
			r := open(t, shard.Options[*kv]{Park: 10 * time.Millisecond})
			c := &clients{rig: r, acked: map[int64]string{}, stop: make(chan struct{})}
			var all sync.WaitGroup
			for n := range 6 {
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				all.Go(func() { c.count(t.Context(), rng) })
			}
			torment(r.Partition, rand.New(rand.NewPCG(seed, 99)), 300)
			close(c.stop)
			all.Wait()
			c.check(t)
		})
	}
}

type clients struct {
	*rig
	stop  chan struct{}
	mu    sync.Mutex
	acked map[int64]string // offset -> key=value
}

// count adds one to random keys until stop.
func (c *clients) count(ctx context.Context, rng *rand.Rand) {
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
		}
		key := strconv.Itoa(rng.IntN(3))
		var value string
		short, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
		offset, err := c.Update(short, key, func(v *kv, _ int32) (shard.Write, error) {
			n, _ := strconv.Atoi(v.values[key])
			value = strconv.Itoa(n + 1)
			return shard.Write{Records: []record.Record{pair(key, value)}}, nil
		})
		cancel()
		if err != nil {
			continue
		}
		c.mu.Lock()
		c.acked[offset] = key + "=" + value
		c.mu.Unlock()
	}
}

// torment does n random things to the partition and leaves it led and whole.
func torment(p *shardtest.Partition, rng *rand.Rand, n int) {
	epoch := int32(1)
	release, thaw := func() {}, func() {}
	for range n {
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
		switch rng.IntN(10) {
		case 0:
			p.Follow(epoch + 1)
			if rng.IntN(2) == 0 {
				p.Truncate()
			}
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			elsewhere(p, strconv.Itoa(rng.IntN(3)))
			epoch += 2
			p.Elect(epoch)
			time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
			thaw()
			p.Barrier()
		case 1:
			p.Fail(shardtest.Refused)
		case 2:
			p.Fail(shardtest.Lost)
		case 3:
			p.Fail(shardtest.Stored)
		case 4:
			release()
			release = p.Hold()
		case 5:
			release()
		case 6:
			thaw = p.Freeze()
		case 7:
			thaw()
		case 8:
			p.Put(record.NewMarker(1, 1, record.Control{Commit: true}, 0))
		case 9:
			p.Skip(int64(rng.IntN(3)))
		}
	}
	p.ClearFaults()
	release()
	thaw()
}

// elsewhere counts as the leader on another node does.
func elsewhere(p *shardtest.Partition, key string) {
	n := 0
	for _, b := range p.Batches() {
		for rec := range b.Records(nil) {
			if string(rec.Key) == key {
				n, _ = strconv.Atoi(string(rec.Value))
			}
		}
	}
	p.Put(batch(key, strconv.Itoa(n+1)))
}

// check reads the log.
func (c *clients) check(t *testing.T) {
	time.Sleep(time.Second)
	synctest.Wait()
	inLog, last := map[int64]string{}, map[string]int{}
	for _, b := range c.Batches() {
		if b.IsControl() {
			continue
		}
		for rec, err := range b.Records(nil) {
			n, _ := strconv.Atoi(string(rec.Value))
			if key := string(rec.Key); err != nil || n != last[key]+1 {
				t.Errorf("key %s goes from %d to %d at offset %d (%v)", key, last[key], n, rec.Offset, err)
			}
			last[string(rec.Key)] = n
			inLog[rec.Offset] = string(rec.Key) + "=" + string(rec.Value)
		}
	}
	for offset, what := range c.acked {
		if inLog[offset] != what {
			t.Errorf("answered %s at offset %d, the log has %q", what, offset, inLog[offset])
		}
	}
	for key, value := range c.values(t) {
		if value != strconv.Itoa(last[key]) {
			t.Errorf("view has %s=%s, the log %d", key, value, last[key])
		}
	}
	if len(c.acked) < 50 {
		t.Errorf("only %d updates were answered", len(c.acked))
	}
}
