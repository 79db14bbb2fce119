//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	idleNodesMinute = flag.Duration("minute", 0, "how long a row of TestIdleNodes is, of which there are five; 0 skips it")
	idleNodesMost   = flag.Float64("most", 8, "percent of a core that a node of TestIdleNodes may take while nothing happens")
)

const (
	idlePartitions = 1000
	idleRows       = 5
	idleDisturbed  = 1 // the row at whose beginning something happens, from 0
	idlePause      = 2 * time.Second
)

// An idleTrio is three nodes with many partitions and nothing to do.
type idleTrio struct {
	*testing.T
	admin *kadm.Client
	// cpu is the processor time that each node has taken.
	cpu  func() [3]time.Duration
	said *lines // what the nodes say, for who asks why leaders changed
	last map[int32]led
}

// TestIdleNodes lets three nodes with 1,000 partitions of three replicas idle,
// and disturbs them once: none takes more of a core than it may before and
// after, and no leader changes but where it must. The leaders' epochs tell: each
// election raises one.
func TestIdleNodes(t *testing.T) {
	if *idleNodesMinute == 0 {
		t.Skip("measures for five times what -minute says: make idle3")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the processor time of a process is read from /proc")
	}
	fmt.Printf("%-16s%5s%9s%9s%9s%11s%7s%7s\n", "three nodes in", "row", "node 1 %", "node 2 %", "node 3 %", "elections", "wrong", "load")
	t.Run("one process", func(t *testing.T) {
		idleInOneProcess(t).rows("one process", func() map[int32]bool {
			runtime.GC()
			return nil
		})
	})
	t.Run("three processes", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		c := idleInProcesses(t, dir)
		c.rows("three processes", func() map[int32]bool {
			c.fault(dir, "pause", "2")
			<-time.After(idlePause) // the fault is how long
			c.fault(dir, "resume", "2")
			return map[int32]bool{2: true}
		})
	})
}

// idleArguments are those of dev in both forms. Leaders stay where they are
// elected: to move them back would be an election too.
func idleArguments(dir string) []string {
	return []string{"dev", "--brokers", "3", "--headless", "--port", "0", "--log-dirs", dir, "--set", "auto.leader.rebalance.enable=false", "-o", "json"}
}

// idleInOneProcess has the nodes in the test's own process, whose garbage it can
// have collected. A node is a third of it.
func idleInOneProcess(t *testing.T) *idleTrio {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	dir, errs, ended := filepath.Join(t.TempDir(), "data"), &lines{}, make(chan int, 1)
	go func() {
		code := run(ctx, idleArguments(dir), strings.NewReader(""), in, errs)
		in.Close() // it gives no error
		ended <- code
	}()
	t.Cleanup(func() {
		stop()
		<-ended // the nodes are closed; with what code does not matter here
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var said banner
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		t.Fatalf("no banner: %v; the nodes said:\n%s", err, errs)
	}
	return newIdleTrio(t, said.Bootstrap, errs, func() [3]time.Duration {
		third := processorTime(t, os.Getpid()) / 3
		return [3]time.Duration{third, third, third}
	})
}

// idleInProcesses has each node in a process of its own.
func idleInProcesses(t *testing.T, dir string) *idleTrio {
	t.Helper()
	p := start(t, append(idleArguments(dir), "--processes")...)
	t.Cleanup(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-p.done
	})
	file, err := readClusterFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	return newIdleTrio(t, p.Bootstrap, p.errs, func() (all [3]time.Duration) {
		for i := range all {
			all[i] = processorTime(t, file.Nodes[i].PID)
		}
		return all
	})
}

// newIdleTrio makes the topic.
func newIdleTrio(t *testing.T, bootstrap string, said *lines, cpu func() [3]time.Duration) *idleTrio {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c := &idleTrio{t, kadm.NewClient(client), cpu, said, map[int32]led{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the nodes said, of each other:\n%s", c.silences())
		}
	})
	c.admin.SetTimeoutMillis(int32(time.Minute.Milliseconds()))
	began := time.Now()
	if _, err := c.admin.CreateTopic(t.Context(), idlePartitions, 3, nil, "idle"); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d partitions of three replicas made in %v", idlePartitions, time.Since(began).Round(time.Millisecond))
	return c
}

// fault does something to one node's process.
func (c *idleTrio) fault(dir string, args ...string) {
	c.Helper()
	if code, _, errOut := execute(c.T, "", append(append([]string{"cluster"}, args...), "--dir", dir)...); code != exitOK {
		c.Fatalf("cluster %v: exit %d, %s", args, code, errOut)
	}
}

// rows prints and judges what the nodes do in each row. disturb says whose
// partitions may have another leader after it.
func (c *idleTrio) rows(form string, disturb func() map[int32]bool) {
	c.Helper()
	settled := c.leaders()
	for last := map[int32]led(nil); !sameEpochs(last, settled); settled = c.leaders() { // the first elections are over
		last = settled
		<-time.After(*idleNodesMinute / 10)
	}
	for row := range idleRows {
		var may map[int32]bool
		began, cpu, before := time.Now(), c.cpu(), c.leaders()
		if row == idleDisturbed {
			may = disturb()
		}
		<-time.After(*idleNodesMinute - time.Since(began))
		took, after, now := time.Since(began), c.leaders(), c.cpu()
		elections, wrong := moved(before, after, may)
		var percents [3]float64
		for i := range now {
			percents[i] = 100 * (now[i] - cpu[i]).Seconds() / took.Seconds()
		}
		fmt.Printf("%-16s%5d%9.1f%9.1f%9.1f%11d%7d%7s\n", form, row+1, percents[0], percents[1], percents[2], elections, wrong, loadAverage())
		for i, percent := range percents {
			if percent > *idleNodesMost && row != idleDisturbed {
				c.Errorf("row %d: node %d took %.1f %% of a core, want at most %g", row+1, i+1, percent, *idleNodesMost)
			}
		}
		if wrong > 0 {
			c.Errorf("row %d: %d elections in partitions whose leaders were well, want none", row+1, wrong)
		}
	}
}

// A led is by whom and in which epoch a partition is led.
type led struct{ leader, epoch int32 }

// leaders asks who leads each partition. All must be led; what a broker tells of
// one that is not says nothing about elections, so what was known of it stays.
func (c *idleTrio) leaders() map[int32]led {
	c.Helper()
	meta, err := c.admin.Metadata(c.Context(), "idle")
	if err != nil {
		c.Fatal(err)
	}
	all, without := map[int32]led{}, 0
	for _, p := range meta.Topics["idle"].Partitions {
		all[p.Partition] = led{p.Leader, p.LeaderEpoch}
		if was, known := c.last[p.Partition]; p.Leader < 0 {
			without++
			all[p.Partition] = was
		} else if known && p.LeaderEpoch < was.epoch {
			all[p.Partition] = was // this broker has not heard yet
		}
	}
	c.last = all
	if without > 0 {
		c.Errorf("%d partitions have no leader", without)
	}
	if len(all) != idlePartitions {
		c.Fatalf("%d partitions are known, want %d", len(all), idlePartitions)
	}
	return all
}

// silences are what the nodes said of those that they did not hear.
func (c *idleTrio) silences() string {
	var all strings.Builder
	for line := range strings.Lines(c.said.String()) {
		if strings.Contains(line, "node is silent") {
			all.WriteString(line)
		}
	}
	return all.String()
}

func sameEpochs(a, b map[int32]led) bool {
	elections, _ := moved(a, b, nil)
	return len(a) == len(b) && elections == 0
}

// moved counts the elections between two moments, and those in partitions that
// nobody led who may lose them.
func moved(before, after map[int32]led, may map[int32]bool) (elections, wrong int) {
	for partition, was := range before {
		n := int(after[partition].epoch - was.epoch)
		elections += n
		if !may[was.leader] {
			wrong += n
		}
	}
	return elections, wrong
}

// processorTime is what a process has taken, in user and kernel mode.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	return time.Duration(user+system) * tick
}

// loadAverage is that of the machine over a minute.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(b))[0]
}
