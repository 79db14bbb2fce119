package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommandLineMistakes(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown command":          {"prodcue"},
		"unknown command of topic": {"topic", "discribe", "orders"},
		"unknown flag":             {"dev", "--prot", "1"},
		"abort without a txn":      {"produce", "orders", "--abort"},
		"acks of another kind":     {"produce", "orders", "--acks", "2"},
		"two ways to end":          {"produce", "orders", "--txn", "a", "--abort", "--hang"},
		"partition without number": {"txn", "producers", "orders"},
		"serve without a folder":   {"serve"},
		"topic without partitions": {"dev", "--topic", "orders:0"},
		"offset without meaning":   {"consume", "orders", "-o", "yesterday"},
		"output of another kind":   {"topic", "list", "-o", "xml"},
		"feature without level":    {"dev", "--headless", "--port", "0", "--feature", "transaction.version"},
		"feature level unknown":    {"dev", "--headless", "--port", "0", "--feature", "transaction.version=9"},
		"unreadable configuration": {"serve", "-c", "/does/not/exist"},
		"wrong setting":            {"dev", "--headless", "--port", "0", "--set", "num.partitions=none"},
		"unknown conformance case": {"conformance", "run", "no/such/case"},
		"shard beyond the last":    {"conformance", "run", "--shard", "3/2"},
		"expectations not there":   {"conformance", "run", "--expect", "/does/not/exist"},
		"form of another kind":     {"conformance", "report", "--as", "pdf", "/does/not/exist"},
		"report not there":         {"conformance", "report", "/does/not/exist"},
		"diff of one":              {"conformance", "diff", "/does/not/exist"},
		"explain nothing":          {"conformance", "explain"},
		"matrix of nothing":        {"conformance", "matrix"},
		"matrix without names":     {"conformance", "matrix", "/does/not/exist"},
		"recording without name":   {"conformance", "record"},
		"proxy before nobody":      {"proxy"},
		"fault that is none":       {"proxy", "--upstream", "127.0.0.1:1", "--fault", "lose"},
		"fault within a broker":    {"proxy", "--upstream", "127.0.0.1:1", "--fault", "hold-markers"},
		"faults not there":         {"proxy", "--upstream", "127.0.0.1:1", "--faults", "/does/not/exist"},
		"target far away":          {"conformance", "run", "-b", "192.0.2.7:9092"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := execute(t, "", args...)
			if code != exitUsage || out != "" || !strings.HasPrefix(errOut, "oncelog: ") {
				t.Errorf("exit %d, output %q, errors %q; want exit %d and one message on standard error", code, out, errOut, exitUsage)
			}
		})
	}
}

func TestUnreachableBrokerIsNamed(t *testing.T) {
	code, _, errOut := execute(t, "", "topic", "list", "-b", "127.0.0.1:1", "--timeout", "1s")
	if code != exitUnreachable || !strings.Contains(errOut, "127.0.0.1:1") {
		t.Errorf("exit %d, errors %q; want %d and the address", code, errOut, exitUnreachable)
	}
}

// TestDataCommands follows records, transactions and groups through the
// commands, against a broker in a process of its own.
func TestDataCommands(t *testing.T) {
	p := start(t, "dev", "--port", "0", "--console-port", "0", "--topic", "orders:2")
	ok := func(stdin string, args ...string) string {
		t.Helper()
		code, out, errOut := execute(t, stdin, append(args, "-b", p.Bootstrap)...)
		if code != exitOK {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errOut)
		}
		return out
	}
	same := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
		}
	}

	same("produce", ok("a\nb\n", "produce", "orders", "-k", "k", "-H", "h=v", "-p", "1"), "orders 1 0\norders 1 1\n")
	ok("c\nd\n", "produce", "orders", "-p", "1", "--txn", "t-1", "--abort")
	ok("e\n", "produce", "orders", "-p", "1", "--txn", "t-1")
	const format = `%p %o %k %v %h\n`
	same("committed", ok("", "consume", "orders", "-e", "-f", format), "1 0 k a h=v\n1 1 k b h=v\n1 5  e \n")
	all := ok("", "consume", "orders", "-e", "-f", format, "--read-uncommitted", "--show-control")
	for _, want := range []string{"1 2  c \n1 3  d \n", "ABORT", "COMMIT"} {
		if !strings.Contains(all, want) {
			t.Errorf("uncommitted output lacks %q:\n%s", want, all)
		}
	}

	ok("f\n", "produce", "orders", "-p", "1", "--txn", "t-2", "--hang")
	if out := ok("", "txn", "describe", "t-2"); !strings.Contains(out, "Ongoing") || !strings.Contains(out, "orders-1") {
		t.Errorf("txn describe of an open transaction:\n%s", out)
	}
	if out := ok("", "txn", "list"); !strings.Contains(out, "t-1") || !strings.Contains(out, "t-2") {
		t.Errorf("txn list:\n%s", out)
	}
	if out := ok("", "txn", "producers", "orders:1", "-o", "json"); strings.Count(out, `"producer_id"`) < 2 {
		t.Errorf("txn producers:\n%s", out)
	}
	if out := ok("", "topic", "describe", "orders", "-o", "json"); !strings.Contains(out, `"last_stable_offset":7,"high_watermark":8`) {
		t.Errorf("the open transaction does not hold the last stable offset at 7:\n%s", out)
	}
	if out := ok("", "log", "dump", "orders:1", "--deep"); !strings.Contains(out, "ABORT") || !strings.Contains(out, "k = a") {
		t.Errorf("log dump:\n%s", out)
	}
	if out := ok("", "log", "dump", "__transaction_state:"+txnPartition(t, ok, "t-1"), "--deep"); !strings.Contains(out, "t-1") {
		t.Errorf("log dump of __transaction_state does not show t-1:\n%s", out)
	}

	ok("", "consume", "orders", "-g", "readers", "-n", "3")
	if out := ok("", "group", "describe", "readers"); !strings.Contains(out, "orders") {
		t.Errorf("group describe:\n%s", out)
	}
	ok("", "group", "seek", "readers", "orders", "--to", "start")
	same("seek past the end", ok("", "group", "seek", "readers", "orders", "--to", "3", "-o", "json"),
		`[{"group":"readers","topic":"orders","partition":0,"committed_offset":0},{"group":"readers","topic":"orders","partition":1,"committed_offset":3}]`+"\n")
	ok("", "group", "delete", "readers")
	ok("", "topic", "config", "orders", "--set", "retention.ms=1000")
	ok("", "topic", "add-partitions", "orders", "--to", "3")
	ok("", "topic", "trim", "orders", "-p", "1", "--before", "2")
	same("after trim", ok("", "consume", "orders", "-e", "-f", format), "1 5  e \n")
	same("delete", ok("", "topic", "delete", "orders"), "DELETED\norders\n")
	healthy(t, p.HTTP)
}

// txnPartition finds the partition that holds the records of a transactional id.
func txnPartition(t *testing.T, ok func(string, ...string) string, id string) string {
	t.Helper()
	var partitions []partitionRow
	if err := json.Unmarshal([]byte(ok("", "topic", "describe", "__transaction_state", "-o", "json")), &partitions); err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		number := text(p.Partition)[0]
		if p.End > 0 && strings.Contains(ok("", "log", "dump", "__transaction_state:"+number, "--deep"), id) {
			return number
		}
	}
	t.Fatalf("no partition of __transaction_state holds %s", id)
	return ""
}

// healthy asks the HTTP port.
func healthy(t *testing.T, url string) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		answer, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, %v", path, answer.StatusCode, err)
		}
	}
}

func TestDevRemovesItsFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed := start(t, "dev", "--headless", "--port", "0")
	killed.kill()
	if _, err := os.Stat(killed.LogDirs); err != nil {
		t.Fatalf("a killed broker has removed its folder: %v", err)
	}
	next := start(t, "dev", "--headless", "--port", "0")
	if _, err := os.Stat(killed.LogDirs); !os.IsNotExist(err) {
		t.Errorf("the folder of a killed broker is still there after the next start: %v", err)
	}
	beside := start(t, "dev", "--headless", "--port", "0")
	if _, err := os.Stat(next.LogDirs); err != nil {
		t.Errorf("a start removed the folder of a running broker: %v", err)
	}
	for _, p := range []*process{next, beside} {
		stopCleanly(t, p)
		if _, err := os.Stat(p.LogDirs); !os.IsNotExist(err) {
			t.Errorf("a broker that ended left its folder: %v", err)
		}
	}
}

// stopCleanly sends SIGTERM and wants exit code 130 or 0 within five seconds.
func stopCleanly(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(3 * closeTimeout): // a parent waits for its children
		t.Fatalf("still running %v after SIGTERM; the broker said:\n%s", 3*closeTimeout, p.errs)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM, want 0; the broker said:\n%s", code, p.errs)
	}
}

func TestOneProcessForOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, "dev", "--headless", "--port", "0", "--log-dirs", dir)
	code, _, errOut := execute(t, "", "dev", "--headless", "--port", "0", "--log-dirs", dir)
	if code == exitOK || !strings.Contains(errOut, dir) {
		t.Errorf("exit %d, errors %q; want a refusal that names %s", code, errOut, dir)
	}
}

// TestDumpOffline reads the files of a broker that was killed.
func TestDumpOffline(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "dev", "--headless", "--port", "0", "--log-dirs", dir)
	for _, args := range [][]string{{}, {"--txn", "t-1"}, {"--txn", "t-1", "--abort"}} {
		if code, _, errOut := execute(t, "first-line\nsecond-line\n", append([]string{"produce", "orders", "-b", p.Bootstrap}, args...)...); code != exitOK {
			t.Fatalf("produce %v: exit %d, %s", args, code, errOut)
		}
	}
	// The abort is answered before its marker, at offset 7, is written.
	if code, _, errOut := execute(t, "", "consume", "orders", "-b", p.Bootstrap, "--show-control", "--read-uncommitted", "-n", "8"); code != exitOK {
		t.Fatalf("consume: exit %d, %s", code, errOut)
	}
	p.kill()
	code, out, errOut := 0, "", ""
	folders, err := filepath.Glob(filepath.Join(dir, "*-0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if code, out, errOut = execute(t, "", "log", "dump", folder, "--deep"); strings.Contains(out, "first-line") {
			break
		}
	}
	if code != exitOK || strings.Count(out, "= second-line") != 3 || !strings.Contains(out, "COMMIT") || !strings.Contains(out, "ABORT") {
		t.Errorf("exit %d, %s, dump:\n%s", code, errOut, out)
	}
}

func TestPortInUseIsTheCallers(t *testing.T) {
	p := start(t, "dev", "--headless", "--port", "0")
	code, _, errOut := execute(t, "", "dev", "--headless", "--port", p.port())
	if code != exitUsage || !strings.Contains(errOut, "choose another port") || strings.Contains(errOut, "tried") {
		t.Errorf("exit %d, errors %q; want %d and what to do", code, errOut, exitUsage)
	}
}

// A group's position is behind what was printed, not behind what was fetched.
func TestConsumeCommitsWhatItPrinted(t *testing.T) {
	p := start(t, "dev", "--port", "0", "--headless")
	for _, step := range []struct{ in, args, want string }{
		{"a\nb\nc\nd\n", "produce orders -p 0", "orders 0 0\norders 0 1\norders 0 2\norders 0 3\n"},
		{"", "consume orders -g readers -n 3 -f %v", "abc"},
		{"", "consume orders -g readers -n 1 -f %v", "d"},
	} {
		code, out, errOut := execute(t, step.in, append(strings.Fields(step.args), "-b", p.Bootstrap)...)
		if code != exitOK || out != step.want {
			t.Fatalf("%s: exit %d, %q, %s; want %q", step.args, code, out, errOut, step.want)
		}
	}
}

func TestRefusalsNameWhatWasAskedFor(t *testing.T) {
	p := start(t, "dev", "--port", "0", "--headless", "--topic", "orders")
	const unknown = "UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.\n"
	for _, test := range []struct{ args, want string }{
		{"topic describe none", "oncelog: describe none: " + unknown},
		{"topic delete none", "oncelog: delete none: " + unknown},
		{"consume none -e", "oncelog: consume none: " + unknown},
		{"txn producers orders:9", "oncelog: DescribeProducers: " + unknown},
	} {
		code, _, errOut := execute(t, "", append(strings.Fields(test.args), "-b", p.Bootstrap)...)
		if code != exitFailed || errOut != test.want {
			t.Errorf("%s: exit %d, %q; want %d, %q", test.args, code, errOut, exitFailed, test.want)
		}
	}
}
