//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// A fourth broker joins three by the configuration that the cluster gives it,
// takes over all that the third holds, and the third leaves.
func TestABrokerIsAddedAndAnotherRemoved(t *testing.T) {
	p := start(t, "dev", "--brokers", "3", "--headless", "--port", "0", "--log-dirs", filepath.Join(t.TempDir(), "data"), "--topic", "orders:3")
	ask := func(into any, args ...string) (errOut string) {
		t.Helper()
		code, out, errOut := execute(t, "", append(args, "-o", "json", "-b", p.Bootstrap)...)
		if code != exitOK || json.Unmarshal([]byte(out), into) != nil {
			t.Fatalf("%v: exit %d, %s%s", args, code, out, errOut)
		}
		return errOut
	}
	if code, _, errOut := execute(t, "a\nb\n", "produce", "orders", "-b", p.Bootstrap); code != exitOK {
		t.Fatalf("produce: exit %d, %s", code, errOut)
	}
	var properties map[string]string
	ask(&properties, "cluster", "add", "--log-dirs", t.TempDir())
	ports := freePorts(t, 2) // those that it says may be taken on this machine
	properties["listeners"] = fmt.Sprintf("PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", ports[0], ports[1])
	properties["advertised.listeners"] = properties["listeners"]
	args := []string{"serve"}
	for name, value := range properties {
		args = append(args, "--set", name+"="+value)
	}
	fourth := start(t, args...)

	var status clusterStatus
	untilLed(t, p, &status, func() bool { return len(status.Brokers) == 4 && status.Brokers[3].Quorum == "observer" }, "cluster", "status")
	if code, _, errOut := execute(t, "", "cluster", "remove", "3", "-b", p.Bootstrap); code != exitFailed || !strings.Contains(errOut, "--drain") {
		t.Errorf("remove without moving: exit %d, %s; want a refusal and what to do", code, errOut)
	}
	var removed struct {
		Moved int `json:"moved"`
	}
	if errOut := ask(&removed, "cluster", "remove", "3", "--drain", "--drain-timeout", "1m"); removed.Moved < 3 || !strings.Contains(errOut, fmt.Sprintf("moved %d of %d replicas", removed.Moved, removed.Moved)) {
		t.Errorf("removed %+v and said %q, want at least 3 moved, and progress", removed, errOut)
	}
	untilLed(t, p, &status, func() bool {
		return len(status.Brokers) == 3 && status.Brokers[2].ID == 4 && status.Brokers[2].Quorum != "observer"
	}, "cluster", "status")
	code, out, errOut := execute(t, "", "consume", "orders", "-e", "-f", `%v\n`, "-b", fourth.Bootstrap)
	if code != exitOK || len(out) != len("a\nb\n") {
		t.Errorf("read by the fourth: exit %d, %q, %s; want the records a and b", code, out, errOut)
	}
}
