package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/conformance/nemesis"
	"github.com/oncelog/oncelog/conformance/verify"
)

// A short run of faults breaks no promise, and its history can be judged again.
func TestChaos(t *testing.T) {
	t.Setenv(asProgram, "1") // for the brokers, which are this program
	var dir, out, errOut string
	code, report := exitIncomplete, verdictReport{}
	for try := 1; code == exitIncomplete && try <= 3; try++ { // a machine that is busy elsewhere may do too little
		dir, report = filepath.Join(t.TempDir(), fmt.Sprint("run", try)), verdictReport{}
		code, out, errOut = execute(t, "", "verify", "chaos", "--for", "1s", "--seed", "1", "--keep", "--dir", dir, "--fault", "kill-leader,isolate-leader,pause-coordinator", "-o", "json")
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("exit %d, %v; said:\n%s", code, err, errOut)
		}
	}
	if code != exitOK || report.Verdict != "passed" || report.Seed != 1 || report.Figures.Faults["isolate-leader"] == 0 {
		t.Errorf("exit %d, %+v\n%s", code, report, errOut)
	}
	if c := report.Replicas; c == nil || c.Partitions < 3*3+3*3+2*10 || c.Entries < nemesis.RoundAcked || c.Records == 0 {
		t.Errorf("replicas %+v, want all partitions of the load and of the coordinators compared", report.Replicas)
	}
	bend(t, dir)
	if r, err := compareReplicas(t.Context(), dir); err == nil && len(r.differences) == 0 {
		t.Error("a changed byte on one broker was not found")
	}
	if code, again, errOut := execute(t, "", "verify", "check", filepath.Join(dir, "history.jsonl")); code != exitOK || !strings.Contains(again, "anomalies  0") {
		t.Errorf("judged again: exit %d, %s%s", code, again, errOut)
	}
	if _, err := os.Stat(filepath.Join(dir, "1.log")); err != nil {
		t.Error(err)
	}
}

// bend changes a byte of the longest log of broker 2.
func bend(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "2", "*", "0*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %d logs", err, len(logs))
	}
	var longest string
	var most []byte
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > len(most) {
			longest, most = name, b
		}
	}
	most[len(most)/2] ^= 1
	if err := os.WriteFile(longest, most, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A replica that holds another record is found, and named.
func TestBentReplicaIsFound(t *testing.T) {
	dir := t.TempDir()
	for i, folder := range replicaFolders(t, []string{"a", "b", "c"}, []string{"a", "bent", "c"}, []string{"a", "b"}) {
		if err := os.Rename(folder, filepath.Join(dir, fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	r, err := compareReplicas(t.Context(), dir)
	if err != nil || r.Partitions != 1 || r.Settled != 0 || len(r.differences) != 1 || !strings.Contains(r.differences[0], filepath.Join(dir, "2")) || !strings.Contains(r.differences[0], "offset 1") {
		t.Errorf("%+v, %v; want the second broker named, at offset 1", r, err)
	}
}

// acks=1 loses what the old leader had alone, acks=all nothing (promise 4).
func TestCompareAcks(t *testing.T) {
	t.Setenv(asProgram, "1")
	var results []nemesis.AcksResult
	code, out, errOut := exitIncomplete, "", ""
	for try := 1; code == exitIncomplete && try <= 3; try++ { // who stands still for a second is told of no record that gets lost
		code, out, errOut = execute(t, "", "verify", "acks", "-o", "json")
	}
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != exitOK || len(results) != 4 {
		t.Fatalf("exit %d, %v, %s\n%s", code, err, out, errOut)
	}
	for _, r := range results {
		if lost := r.Lost > 0; lost != (r.Acks == "1") || lost != (len(r.Gone) > 0) || r.Acked <= r.Lost {
			t.Errorf("%+v, want records lost with acks=1 only", r)
		}
	}
}

func TestCheckOfAHistory(t *testing.T) {
	name := filepath.Join(t.TempDir(), "history.jsonl")
	save := func(h verify.History) {
		t.Helper()
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := h.Write(file); err != nil {
			t.Fatal(err)
		}
	}
	save(verify.History{{Kind: verify.Ack, Value: "gone", Topic: "t"}})
	if code, out, _ := execute(t, "", "verify", "check", name); code != exitFailed || !strings.Contains(out, "lost-write: gone was acknowledged at t-0@0 and is nowhere") {
		t.Errorf("a lost record: exit %d, %s", code, out)
	}
	save(nil)
	if code, out, _ := execute(t, "", "verify", "check", name); code != exitIncomplete || !strings.Contains(out, "missed     0 rounds, want 1") {
		t.Errorf("nothing: exit %d, %s", code, out)
	}
	if code, _, _ := execute(t, "", "verify", "check", name+".none"); code != exitUsage {
		t.Errorf("no file: exit %d", code)
	}
	if code, _, errOut := execute(t, "", "verify", "chaos", "--fault", "none"); code != exitUsage || !strings.Contains(errOut, "kill-leader") {
		t.Errorf("no such fault: exit %d, %s", code, errOut)
	}
}

// A short run on one broker breaks no promise, leaves nothing behind, and its history
// can be judged again and drawn.
func TestVerifyRun(t *testing.T) {
	p := start(t, "dev", "--headless", "--port", "0")
	history, page := filepath.Join(t.TempDir(), "h.jsonl"), filepath.Join(t.TempDir(), "offsets.html")
	code, out, errOut, report := exitIncomplete, "", "", verdictReport{}
	for try := 1; code == exitIncomplete && try <= 3; try++ { // a machine that is busy elsewhere may do too little
		report = verdictReport{}
		code, out, errOut = execute(t, "", "verify", "run", "-b", p.Bootstrap, "--for", "3s", "--lifetime", "2s", "--late", "0.3", "--lost", "0.05", "--cut", "0.05", "--zombies", "0.1", "--settle", "15s", "--history", history, "-o", "json")
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("exit %d, %v; said:\n%s", code, err, errOut)
		}
	}
	f := report.Figures
	if code != exitOK || report.Verdict != "passed" || report.Seed == 0 || report.History != history || f.Transfers == 0 || f.Polled == 0 || f.LateCopies == 0 || f.Zombies == 0 ||
		report.TransactionVersion == nil || *report.TransactionVersion != 2 {
		t.Errorf("exit %d, %+v\n%s", code, report, errOut)
	}
	if code, again, errOut := execute(t, "", "verify", "check", history, "--view", page); code != exitOK || !strings.Contains(again, "anomalies  0") || !strings.Contains(errOut, "draws group") {
		t.Errorf("judged again: exit %d, %s%s", code, again, errOut)
	}
	if drawn, err := os.ReadFile(page); err != nil || !strings.Contains(string(drawn), "commit ") {
		t.Errorf("%v, %d bytes; want the page of an offset", err, len(drawn))
	}
	if code, topics, errOut := execute(t, "", "topic", "list", "-b", p.Bootstrap); code != exitOK || strings.Contains(topics, "oncelog-verify") {
		t.Errorf("left behind: exit %d, %s%s", code, topics, errOut)
	}
}

func TestVerifyRunRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"--workload", "none"}, "append, bank, etl", exitUsage},
		{[]string{"--late", "30"}, "share between 0 and 1", exitUsage},
		{[]string{"--for", "0s"}, "want more than 0", exitUsage},
		{[]string{"-b", "192.0.2.1:9092"}, "--yes-this-cluster", exitUsage},
		{[]string{"-b", "127.0.0.1:1"}, "127.0.0.1:1", exitUnreachable},
	} {
		if code, _, errOut := execute(t, "", append([]string{"verify", "run"}, c.args...)...); code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: exit %d, %s; want %d and %q", c.args, code, errOut, c.code, c.want)
		}
	}
}

// The histories of docs/verify.md are judged as it says.
func TestHistoriesOfTheManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "verify.md"))
	if err != nil {
		t.Fatal(err)
	}
	name, judged := filepath.Join(t.TempDir(), "h.jsonl"), 0
	for _, block := range strings.Split(string(manual), "```jsonl ")[1:] {
		want, history, _ := strings.Cut(block, "\n")
		history, _, _ = strings.Cut(history, "```")
		if err := os.WriteFile(name, []byte(history), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := execute(t, "", "verify", "check", name, "-o", "json")
		var report verdictReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%s: exit %d, %v, %s", want, code, err, errOut)
		}
		if passed := want == "passed"; passed != (code == exitOK) || !passed && (code != exitFailed || len(report.Anomalies) != 1 || report.Anomalies[want] != 1) {
			t.Errorf("want %s: exit %d, %s", want, code, out)
		}
		judged++
	}
	if judged != 2 {
		t.Errorf("judged %d histories, want 2", judged)
	}
}
