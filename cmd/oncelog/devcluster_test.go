package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// Three brokers in one process are one cluster that keeps its data.
func TestDevCluster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"dev", "--brokers", "3", "--port", "0", "--console-port", "0", "--log-dirs", dir, "--topic", "orders:3"}
	p := start(t, args...)
	if p.ClusterID == "" || len(p.Brokers) != 3 || strings.Count(p.Bootstrap, ",") != 2 {
		t.Fatalf("banner %+v, want three brokers of a cluster", p.banner)
	}
	for i, b := range p.Brokers {
		if b.HTTP == "" || !strings.Contains(p.Bootstrap, b.Bootstrap) || b.LogDirs != filepath.Join(dir, b.NodeID.String()) {
			t.Errorf("broker %d: %+v, want an address, one of %s, and a folder below %s", i, b, p.Bootstrap, dir)
		}
		healthy(t, b.HTTP)
	}
	if code, _, errOut := execute(t, "a\nb\n", "produce", "orders", "--txn", "t-1", "-b", p.Bootstrap); code != exitOK {
		t.Fatalf("produce: exit %d, %s", code, errOut)
	}
	for _, topic := range []string{"orders", "__transaction_state"} { // a machine that stands still for a second moves leaders
		var partitions []partitionRow
		untilLed(t, p, &partitions, func() bool {
			leaders := map[int32]bool{}
			for _, one := range partitions {
				leaders[one.Leader] = true
			}
			return !leaders[-1] && len(leaders) > 1
		}, "topic", "describe", topic)
		for _, one := range partitions {
			if len(one.Replicas) != 3 {
				t.Errorf("%s-%d has the replicas %v, want 3", topic, one.Partition, one.Replicas)
			}
		}
	}
	var status clusterStatus
	untilLed(t, p, &status, func() bool {
		leads := 0
		for _, b := range status.Brokers {
			leads += b.Leaders
		}
		return len(status.Brokers) == 3 && status.Controller > 0 && leads == status.Partitions && len(status.Leaderless) == 0
	}, "cluster", "status")
	if status.ClusterID != p.ClusterID {
		t.Errorf("status of the cluster %s, want %s", status.ClusterID, p.ClusterID)
	}
	if _, table, _ := execute(t, "", "cluster", "status", "-b", p.Bootstrap); !strings.Contains(table, "without leader: none") {
		t.Errorf("status as a table:\n%s", table)
	}
	stopCleanly(t, p)

	again := start(t, args...)
	if again.ClusterID != p.ClusterID {
		t.Errorf("cluster id %s after a restart, want %s", again.ClusterID, p.ClusterID)
	}
	code, out, errOut := execute(t, "", "consume", "orders", "-e", "-f", `%v\n`, "-b", again.Bootstrap)
	if code != exitOK || len(out) != len("a\nb\n") {
		t.Errorf("after a restart: exit %d, %q, %s; want the records a and b", code, out, errOut)
	}
	if code, _, errOut := execute(t, "", args...); code != exitFailed || !strings.Contains(errOut, "in use by another process") {
		t.Errorf("a second one on the same folder: exit %d, %s", code, errOut)
	}
	stopCleanly(t, again)
	for _, brokers := range []string{"1", "5"} {
		code, _, errOut := execute(t, "", "dev", "--brokers", brokers, "--headless", "--port", "0", "--log-dirs", dir)
		if code != exitUsage || !strings.Contains(errOut, "use --brokers 3") {
			t.Errorf("%s brokers on the folder of three: exit %d, %s", brokers, code, errOut)
		}
	}
}

// tells runs a command once.
func tells(t *testing.T, p *process, into any, args ...string) {
	t.Helper()
	code, out, errOut := execute(t, "", append(args, "-o", "json", "-b", p.Bootstrap)...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != exitOK {
		t.Fatalf("%v: exit %d, %s, %v", args, code, errOut, err)
	}
}

func TestDevClusterChoosesForItself(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--brokers 2", "want 1, 3 or 5"},
		{"--brokers 3 --set node.id=7", "node.id=7 with --brokers 3"},
		{"--brokers 3 --set listeners=PLAINTEXT://:0", "oncelog serve"},
	} {
		code, _, errOut := execute(t, "", append([]string{"dev", "--headless", "--port", "0"}, strings.Fields(test.args)...)...)
		if code != exitUsage || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: exit %d, %q; want %d and %q", test.args, code, errOut, exitUsage, test.want)
		}
	}
}

// One port that is taken ends the start of all.
func TestDevClusterOnATakenPort(t *testing.T) {
	taken := start(t, "dev", "--headless", "--port", "0")
	code, _, errOut := execute(t, "", "dev", "--brokers", "3", "--headless", "--port", taken.port())
	if code != exitUsage || !strings.Contains(errOut, "choose another port") {
		t.Errorf("exit %d, %q; want %d and what to do", code, errOut, exitUsage)
	}
}
