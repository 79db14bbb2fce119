//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// A fourth broker joins three by the configuration that the cluster gives it,
// takes over all that the third holds, and the third leaves.
func TestABrokerIsAddedAndAnotherRemoved(t *testing.T) {
	p := start(t, "dev", "--brokers", "3", "--headless", "--port", "0", "--log-dirs", filepath.Join(t.TempDir(), "data"), "--topic", "orders:3")
	if code, _, errOut := execute(t, "a\nb\n", "produce", "orders", "-b", p.Bootstrap); code != exitOK {
		t.Fatalf("produce: exit %d, %s", code, errOut)
	}
	var properties map[string]string
	tells(t, p, &properties, "cluster", "add", "--log-dirs", t.TempDir())
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
	fourth.kill()
	untilLed(t, p, &status, func() bool { return len(status.Brokers) == 4 && status.Brokers[3].Fenced }, "cluster", "status")
	removeMeanwhile(t, p, func() { fourth = start(t, args...) })
	untilLed(t, p, &status, func() bool {
		return len(status.Brokers) == 3 && status.Brokers[2].ID == 4 && status.Brokers[2].Quorum != "observer"
	}, "cluster", "status")
	code, out, errOut := execute(t, "", "consume", "orders", "-e", "-f", `%v\n`, "-b", fourth.Bootstrap)
	if code != exitOK || len(out) != len("a\nb\n") {
		t.Errorf("read by the fourth: exit %d, %q, %s; want the records a and b", code, out, errOut)
	}
}

// removeMeanwhile takes broker 3 off, whose replicas have no room until a fourth is
// heard, which arrive brings about once the command has said something: as just after
// a broker has joined, when not each of the others has heard of it.
func removeMeanwhile(t *testing.T, p *process, arrive func()) {
	t.Helper()
	remove := command(t, "cluster", "remove", "3", "--drain", "--drain-timeout", "1m", "-o", "json", "-b", p.Bootstrap)
	var out bytes.Buffer
	remove.Stdout = &out
	said, err := remove.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := remove.Start(); err != nil {
		t.Fatal(err)
	}
	defer remove.Process.Kill() // when arrive fails
	lines := bufio.NewReader(said)
	first, _ := lines.ReadString('\n') // why it says no more is told by how it ended
	arrive()
	rest, _ := io.ReadAll(lines)
	err = remove.Wait()
	var removed struct {
		Moved int `json:"moved"`
	}
	if err != nil || json.Unmarshal(out.Bytes(), &removed) != nil {
		t.Fatalf("remove: %v, %s%s%s", err, out.Bytes(), first, rest)
	}
	if want := fmt.Sprintf("moved %d of %d replicas", removed.Moved, removed.Moved); removed.Moved < 3 || !strings.Contains(string(rest), want) {
		t.Errorf("removed %+v and said %q, want at least 3 moved, and progress", removed, first+string(rest))
	}
}
