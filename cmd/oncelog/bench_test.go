package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/cmd/oncelog/bench"
)

// TestBench runs each benchmark as a command, decodes what it prints, and
// compares two of them.
func TestBench(t *testing.T) {
	addr := inProcess(t)
	files := map[string]string{}
	for kind, args := range map[string]string{
		"produce": "--records 300 --acks 1 -z zstd", "consume": "--records 300", "e2e": "--records 100", "txn": "--records 20 --transaction-size 5",
	} {
		code, out, errOut := execute(t, "", strings.Fields("bench "+kind+" --warmup 0 -o json -b "+addr+" "+args)...)
		if code != exitOK || errOut != "" {
			t.Fatalf("%s: exit %d, %s\n%s", kind, code, errOut, out)
		}
		decoder := json.NewDecoder(strings.NewReader(out))
		decoder.DisallowUnknownFields()
		var r bench.Report
		if err := decoder.Decode(&r); err != nil || decoder.More() {
			t.Fatalf("%s: want one object, %v\n%s", kind, err, out)
		}
		if r.Schema != bench.Schema || string(r.Bench) != kind || !r.OK() || r.Records < 100 || !strings.HasPrefix(r.Client, "oncelog ") || r.Broker.Speaks == "" {
			t.Errorf("%s:\n%s", kind, out)
		}
		files[kind] = filepath.Join(t.TempDir(), kind+".json")
		if err := os.WriteFile(files[kind], []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errOut := execute(t, "", "bench", "compare", files["produce"], files["e2e"])
	if code != exitOK || !strings.Contains(out, "records/s") || !strings.Contains(out, "ack p99 ms") {
		t.Errorf("compare: exit %d, %s\n%s", code, errOut, out)
	}
	if code, out, errOut := execute(t, "", "bench", "produce", "-b", addr, "--records", "50"); code != exitOK || !strings.Contains(out, "data ok: 51 written, 51 stored") {
		t.Errorf("table: exit %d, %s\n%s", code, errOut, out)
	}
	if _, out, _ := execute(t, "", "topic", "list", "-b", addr); strings.Contains(out, "oncelog-bench") {
		t.Errorf("a topic is left:\n%s", out)
	}
}

func TestBenchExitCodes(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.json")
	if err := os.WriteFile(none, []byte(`{"schema":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args string
		code int
		says string
	}{
		"wrong setting":      {"bench txn --acks 1", exitUsage, "transactions want all"},
		"unknown codec":      {"bench produce -z brotli -b " + inProcess(t), exitUsage, "brotli"},
		"remote cluster":     {"bench produce -b 192.0.2.1:9092", exitUsage, "--yes-this-cluster"},
		"nobody there":       {"bench produce -b 127.0.0.1:1 --timeout 1s", exitUnreachable, "127.0.0.1:1"},
		"report of another":  {"bench compare " + none + " " + none, exitUsage, "schema 99"},
		"record too large":   {"bench produce --size 2000 --batch-bytes 1024 -b " + inProcess(t), exitFailed, "MESSAGE_TOO_LARGE"},
		"unknown benchmark":  {"bench prodcue", exitUsage, "prodcue"},
		"report that is not": {"bench compare main.go main.go", exitUsage, "no report"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := execute(t, "", strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(out+errOut, test.says) {
				t.Errorf("exit %d, %q, %q; want %d and %q", code, out, errOut, test.code, test.says)
			}
		})
	}
}
