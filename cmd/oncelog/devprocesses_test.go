//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A rig is a cluster of processes as its commands drive it.
type rig struct {
	*testing.T
	dir string
	p   *process
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	return &rig{t, dir, start(t, "dev", "--brokers", "3", "--processes", "--headless", "--port", "0", "--log-dirs", dir, "--topic", "orders:3")}
}

// do runs a command of cluster and returns how things are then.
func (r *rig) do(args ...string) (now clusterNow) {
	r.Helper()
	code, out, errOut := execute(r.T, "", append(append([]string{"cluster"}, args...), "--dir", r.dir, "-o", "json")...)
	if code != exitOK {
		r.Fatalf("cluster %v: exit %d, %s; the cluster said:\n%s", args, code, errOut, r.p.errs)
	}
	if err := json.Unmarshal([]byte(out), &now); err != nil {
		r.Fatalf("cluster %v: %v in %s", args, err, out)
	}
	return now
}

func states(now clusterNow) string {
	var all []string
	for _, n := range now.Nodes {
		all = append(all, n.State)
	}
	return strings.Join(all, " ")
}

func TestProcessesAreKilledStoppedAndStarted(t *testing.T) {
	r := newRig(t)
	file, err := readClusterFile(r.dir)
	if err != nil || file.Bootstrap != r.p.Bootstrap || file.ClusterID != r.p.ClusterID || len(file.Nodes) != 3 || file.Nodes[0].PID == 0 {
		t.Fatalf("cluster.json %+v, %v, want what the banner says: %+v", file, err, r.p.banner)
	}
	if info, err := os.Stat(filepath.Join(r.dir, clusterFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: who may read cluster.json may kill brokers", info.Mode(), err)
	}
	for _, step := range []struct{ do, want string }{
		{"kill 2", "running ended running"},
		{"pause 1", "paused ended running"},
		{"resume 1", "running ended running"},
		{"restart 2", "running running running"},
		{"restart 3", "running running running"},
	} {
		if got := states(r.do(strings.Fields(step.do)...)); got != step.want {
			t.Errorf("after %s: %s, want %s", step.do, got, step.want)
		}
	}
	if code, _, errOut := execute(t, "a\nb\n", "produce", "orders", "-b", r.p.Bootstrap); code != exitOK {
		t.Errorf("produce: exit %d, %s", code, errOut)
	}
	now := r.do("processes")
	r.stop()
	for _, n := range now.Nodes {
		if process, err := os.FindProcess(n.PID); err == nil && process.Signal(syscall.Signal(0)) == nil {
			t.Errorf("process %d of broker %d outlives its parent", n.PID, n.ID)
		}
	}
}

// stop ends the cluster, and wants it to end well.
func (r *rig) stop() {
	r.Helper()
	stopCleanly(r.T, r.p)
	if _, err := os.Stat(filepath.Join(r.dir, clusterFile)); !os.IsNotExist(err) {
		r.Errorf("cluster.json after the end: %v, want none", err)
	}
}

// A broker that is parted from the others leads nothing any more.
func TestAnIsolatedBrokerIsReplaced(t *testing.T) {
	r := newRig(t)
	if got := r.do("isolate", "1").Links; strings.Join(got, " ") != "1->2 cut 1->3 cut 2->1 cut 3->1 cut" {
		t.Errorf("links %v", got)
	}
	others := strings.Join(strings.Split(r.p.Bootstrap, ",")[1:], ",")
	var partitions []partitionRow
	untilLed(t, &process{banner: banner{Bootstrap: others}}, &partitions, func() bool {
		for _, p := range partitions {
			if p.Leader < 2 {
				return false
			}
		}
		return len(partitions) == 3
	}, "topic", "describe", "orders")
	if got := r.do("slow", "2", "3", "--one-way", "--delay", "1ms").Links; len(got) != 5 || got[3] != "2->3 slow by 1ms" {
		t.Errorf("links %v", got)
	}
	if got := r.do("heal").Links; len(got) != 0 {
		t.Errorf("links %v after heal", got)
	}
	r.stop()
}

// The brokers end with the process that started them, however it ends.
func TestProcessesEndWithTheirParent(t *testing.T) {
	r := newRig(t)
	now := r.do("heal")
	r.p.kill()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(hangs); ; <-ticker.C {
		alive := 0
		for _, n := range now.Nodes {
			if process, err := os.FindProcess(n.PID); err == nil && process.Signal(syscall.Signal(0)) == nil {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d brokers outlive their parent", alive)
		}
	}
}

func TestFaultsSayWhatIsWrong(t *testing.T) {
	r := newRig(t)
	empty := t.TempDir()
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"kill 9", exitFailed, "there is no broker 9"},
		{"kill one", exitUsage, "want its node id"},
		{"resume 1", exitOK, ""},
		{"cut 1 1", exitFailed, "no link from node 1 to node 1"},
		{"cut 1", exitUsage, "wants 2 argument(s)"},
		{"kill 1 --dir " + empty, exitUsage, "no cluster of processes has its data there"},
	} {
		args := strings.Fields("cluster " + test.args)
		if !strings.Contains(test.args, "--dir") {
			args = append(args, "--dir", r.dir)
		}
		if code, _, errOut := execute(t, "", args...); code != test.code || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: exit %d, %q; want %d and %q", test.args, code, errOut, test.code, test.want)
		}
	}
	r.do("kill", "1")
	if code, _, errOut := execute(t, "", "cluster", "pause", "1", "--dir", r.dir); code != exitFailed || !strings.Contains(errOut, "no running process") {
		t.Errorf("pause of a broker that was killed: exit %d, %q", code, errOut)
	}
	file, err := readClusterFile(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	file.Token = "guess"
	if _, err := file.call(t.Context(), clusterAct{Do: "kill", Node: 2}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("%v, want the token asked for", err)
	}
	stopCleanly(t, r.p)
}

// A broker that is down keeps its node id: none that is added is given it.
func TestNodeIDOfABrokerThatIsDownIsNotGiven(t *testing.T) {
	r := newRig(t)
	r.do("kill", "3")
	var status clusterStatus
	untilLed(t, r.p, &status, func() bool { return len(status.Brokers) == 3 && status.Brokers[2].Fenced }, "cluster", "status")
	var properties map[string]string
	code, out, errOut := execute(t, "", "cluster", "add", "-o", "json", "-b", r.p.Bootstrap)
	if err := json.Unmarshal([]byte(out), &properties); code != exitOK || err != nil || properties["node.id"] != "4" {
		t.Errorf("exit %d, %v, node id %q, %s; want 4", code, err, properties["node.id"], errOut)
	}
}
