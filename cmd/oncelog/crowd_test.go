package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/cmd/oncelog/bench"
)

// crowdTime is asked for by make idle.
var crowdTime = flag.Duration("crowd", 0, "how long TestCrowdFigures measures an active client, each time with and without a crowd beside it; 0 skips it")

const (
	crowdIdle = 1000
	crowdSlow = 10
	// claimed is the length that the slow ones say their request has.
	claimed = 100 << 20
)

// A crowd is what a broker has open beside its active clients: peers that said
// who they are and then nothing, and peers that send a large request byte by
// byte.
type crowd struct {
	*testing.T
	idle, slow []net.Conn
}

// TestCrowdCostsLittle holds 1,000 idle connections and ten that send a request
// of 100 MiB byte by byte: an active client is served at each of their bytes,
// the broker's memory at its highest is less than twice what it was, and the
// idle ones are served when they ask again.
func TestCrowdCostsLittle(t *testing.T) {
	p := startForCrowd(t)
	client := activeClient(t, p)
	work(t, client, 2000)
	before := memoryOf(t, p)
	c := gather(t, p)
	for range 200 {
		c.sendByte()
		work(t, client, 10)
	}
	most := peakOf(t, p)
	t.Logf("resident: %d KiB before, %d at the highest", before>>10, most>>10)
	if most >= 2*before {
		t.Errorf("%d idle and %d slow connections take the broker from %d KiB to %d, want less than twice as much", crowdIdle, crowdSlow, before>>10, most>>10)
	}
	for _, peer := range c.idle {
		c.hello(peer)
	}
}

// TestCrowdFigures prints what an active client and the broker's memory are like
// without and beside a crowd, in turns: make idle.
func TestCrowdFigures(t *testing.T) {
	if *crowdTime == 0 {
		t.Skip("measures for a time that -crowd says: make idle")
	}
	p := startForCrowd(t)
	measure(t, p, "warm-up")
	fmt.Printf("%-10s%10s%10s%14s\n", "crowd", "p50 ms", "p99 ms", "peak RSS MiB")
	var before, beside figures
	for range 3 {
		before.add(measure(t, p, "none"))
		c := gather(t, p)
		stop := c.sendBytes()
		beside.add(measure(t, p, fmt.Sprint(crowdIdle, "+", crowdSlow)))
		stop()
		c.leave()
	}
	// A process gives memory back late, so what it had before the first crowd counts.
	grown := slices.Max(beside.peak) / before.peak[0]
	fmt.Printf("%-10s%10.2f%10.2f%14.2f\n", "ratio", ratio(beside.p50, before.p50), ratio(beside.p99, before.p99), grown)
}

// figures of several measurements.
type figures struct{ p50, p99, peak []float64 }

func (f *figures) add(p50, p99, peak float64) {
	f.p50, f.p99, f.peak = append(f.p50, p50), append(f.p99, p99), append(f.peak, peak)
}

// ratio is that of the medians. It sorts both.
func ratio(a, b []float64) float64 {
	slices.Sort(a)
	slices.Sort(b)
	return a[len(a)/2] / b[len(b)/2]
}

// measure is one row: a thousand records a second, latencies since each was due.
func measure(t *testing.T, p *process, row string) (p50, p99, peak float64) {
	t.Helper()
	memoryOf(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), *crowdTime+time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	args := []string{"bench", "produce", "-b", p.Bootstrap, "--rate", "1000", "--duration", crowdTime.String(), "-o", "json"}
	if code := run(ctx, args, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Fatalf("exit %d, %s", code, &errs)
	}
	var report bench.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	ack := report.Latency["ack"]
	peak = float64(peakOf(t, p)) / (1 << 20)
	fmt.Printf("%-10s%10.2f%10.2f%14.1f\n", row, ack.P50, ack.P99, peak)
	return ack.P50, ack.P99, peak
}

func startForCrowd(t *testing.T) *process {
	t.Helper()
	return start(t, "serve", "--set", "log.dirs="+t.TempDir(), "--set", "listeners=PLAINTEXT://localhost:0", "--set", fmt.Sprint("max.connections.per.ip=", 2*(crowdIdle+crowdSlow)))
}

func activeClient(t *testing.T, p *process) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Bootstrap), kgo.DefaultProduceTopic("active"), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// work writes records, one after the other is acknowledged.
func work(t *testing.T, client *kgo.Client, records int) {
	t.Helper()
	for range records {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: make([]byte, 1024)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// gather opens the connections of a crowd. Each asks for the API versions first,
// as every client does.
func gather(t *testing.T, p *process) *crowd {
	t.Helper()
	c := &crowd{T: t}
	for range crowdIdle {
		c.idle = append(c.idle, c.dial(p))
	}
	for range crowdSlow {
		peer := c.dial(p)
		if _, err := peer.Write(binary.BigEndian.AppendUint32(nil, claimed)); err != nil {
			t.Fatal(err)
		}
		c.slow = append(c.slow, peer)
	}
	return c
}

func (c *crowd) dial(p *process) net.Conn {
	c.Helper()
	peer, err := net.Dial("tcp", p.Bootstrap)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = peer.Close() }) // nothing is asked any more
	c.hello(peer)
	return peer
}

// hello asks for the API versions.
func (c *crowd) hello(peer net.Conn) {
	c.Helper()
	r := kmsg.NewPtrApiVersionsRequest()
	r.Version, r.ClientSoftwareName, r.ClientSoftwareVersion = 3, "crowd", "1"
	if _, err := peer.Write(kmsg.NewRequestFormatter().AppendRequest(nil, r, 7)); err != nil {
		c.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(peer, size[:]); err != nil {
		c.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, peer, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
		c.Fatal(err)
	}
}

// sendByte has each slow peer send one byte more.
func (c *crowd) sendByte() {
	c.Helper()
	for _, peer := range c.slow {
		if _, err := peer.Write([]byte{0}); err != nil {
			c.Error(err)
		}
	}
}

// sendBytes does so each second, until stop.
func (c *crowd) sendBytes() (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	var sending sync.WaitGroup
	sending.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.sendByte()
			case <-ctx.Done():
				return
			}
		}
	})
	stop = func() {
		cancel()
		sending.Wait()
	}
	c.Cleanup(stop) // when the test ends before
	return stop
}

// leave closes all.
func (c *crowd) leave() {
	c.Helper()
	for _, peer := range slices.Concat(c.idle, c.slow) {
		if err := peer.Close(); err != nil {
			c.Error(err)
		}
	}
}

// memoryOf is the resident memory of a broker, in bytes. Its highest counts from now.
func memoryOf(t *testing.T, p *process) int64 {
	t.Helper()
	n := status(t, p, "VmRSS:")
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID), []byte("5"), 0); err != nil {
		t.Skipf("the highest memory of a process cannot be counted anew here: %v", err)
	}
	return n
}

// peakOf is the highest since memoryOf.
func peakOf(t *testing.T, p *process) int64 {
	t.Helper()
	return status(t, p, "VmHWM:")
}

func status(t *testing.T, p *process, field string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if errors.Is(err, os.ErrNotExist) && runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	} else if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, p.PID)
	return 0
}
