package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/log/vfs"
)

// inProcess runs a broker inside the test, in memory, and returns its address.
func inProcess(t *testing.T) string {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Config{
		FS:     vfs.NewMem(),
		Logger: slog.New(slog.DiscardHandler),
		Properties: map[string]string{
			"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/in-process", "group.initial.rebalance.delay.ms": "0",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}

// TestConformance holds a broker in this process against every case of the
// suite, which Apache Kafka passes, but for those that need several.
func TestConformance(t *testing.T) {
	config := conformance.Config{Brokers: []string{inProcess(t)}, Parallel: 4, Strict: true, Destructive: true}
	report, err := conformance.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if alone := result.Verdict == conformance.Skip && strings.HasSuffix(result.Reason, "brokers, has 1"); result.Verdict != conformance.Pass && !alone {
			t.Errorf("%s", result.Text(config.Brokers))
		}
	}
	t.Log(report.Summary())
}

// TestConformanceExitCodes runs the command with each flag that changes how it
// ends.
func TestConformanceExitCodes(t *testing.T) {
	addr := inProcess(t)
	expect := filepath.Join(t.TempDir(), "expect")
	if err := os.WriteFile(expect, []byte("idempotence/wrap/1 # as a test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		exit int
		says string
	}{
		{"all pass", []string{"--filter", "idempotence/wrap"}, exitOK, "2 passed · 0 failed"},
		{"each twice", []string{"idempotence/wrap", "--repeat", "2", "--seed", "7"}, exitOK, "2 passed · 0 failed"},
		{"a pass that was not expected", []string{"idempotence/wrap", "--expect", expect}, exitFailed, "was expected to fail: as a test"},
		{"a case is skipped", []string{"protocol/close/1"}, exitOK, "1 skipped"},
		{"a case is skipped and must not be", []string{"protocol/close/1", "--strict-skip"}, exitIncomplete, "1 skipped"},
		{"a plan changes nothing", []string{"protocol/close", "txn/empty", "--dry-run"}, exitOK, "2 would run · 2 skipped"},
		{"a part", []string{"idempotence/wrap", "--shard", "2/2"}, exitOK, "1 passed"},
		{"a plan as JSON", []string{"txn/empty/1", "--dry-run", "-o", "json"}, exitOK, `"verdict": "PLAN"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errOut := execute(t, "", append([]string{"conformance", "run", "-b", addr}, tt.args...)...)
			if code != tt.exit || !strings.Contains(out, tt.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, tt.exit, tt.says, out, errOut)
			}
		})
	}
}

// TestConformanceReports follows one report through the files of run, report,
// diff and explain.
func TestConformanceReports(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ok := func(want string, args ...string) {
		t.Helper()
		code, out, errOut := execute(t, "", append([]string{"conformance"}, args...)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, want %q:\n%s%s", args, code, want, out, errOut)
		}
	}
	ok("2 passed", "run", "-b", inProcess(t), "txn/empty", "--json", file("r.json"), "--junit", file("r.xml"), "--html", file("r.html"), "--md", file("r.md"))
	for name, want := range map[string]string{"r.json": `"schema": 1`, "r.xml": "<testsuites", "r.html": "<!doctype html>", "r.md": "# Conformance of"} {
		raw, err := os.ReadFile(file(name))
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %q: %v", name, want, err)
		}
	}
	ok("<testsuites", "report", file("r.json"), "--as", "junit")
	ok("2 passed", "report", file("r.json"))
	ok("CASE", "diff", file("r.json"), file("r.json"))
	ok("[]", "diff", file("r.json"), file("r.json"), "-o", "json")
	ok("transaction.version=2", "explain", "txn/empty/1")
	ok("< Error=OUT_OF_ORDER_SEQUENCE_NUMBER", "explain", "idempotence/window/3")
	ok("| txn/empty/1 |", "matrix", "one="+file("r.json"), "two="+file("r.json"))
	ok("", "record", "mine", "-b", inProcess(t), "--filter", "txn/empty", "--to", dir, "--rounds", "1")
	ok("", "record", "mine", "-b", inProcess(t), "--filter", "idempotence/wrap", "--to", dir, "--rounds", "2")
	if raw, err := os.ReadFile(file("mine.json")); err != nil || strings.Count(string(raw), `"verdict": "PASS"`) != 4 {
		t.Errorf("two parts of a recording are (%v)\n%s", err, raw)
	}
	ok(`"level":"MUST"`, "explain", "txn/empty/1", "-o", "json")
	raw, err := os.ReadFile(file("r.json"))
	if err != nil {
		t.Fatal(err)
	}
	worse := strings.Replace(string(raw), `"verdict": "PASS"`, `"verdict": "FAIL"`, 1)
	if err := os.WriteFile(file("worse.json"), []byte(worse), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := execute(t, "", "conformance", "diff", "--markdown", file("r.json"), file("worse.json"))
	if code != exitFailed || !strings.Contains(out, "| PASS | FAIL |") || !strings.Contains(errOut, "txn/empty/1") {
		t.Errorf("a rule that is no longer kept: exit %d\n%s%s", code, out, errOut)
	}
}
