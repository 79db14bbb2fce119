package pages

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// oncelog is the program (make build).
func oncelog(t *testing.T) string { return filepath.Join(root(t), "bin", "oncelog") }

// bend are settings with which a broker does not keep two rules, so that its
// report has failures to show, and failed says which.
var (
	bend   = []string{"--set", "log.message.timestamp.after.max.ms=9223372036854775807", "--set", "offset.metadata.max.bytes=1000000"}
	failed = []string{"produce/time/1", "group/offset/2"}
)

// dev starts a broker that ends with the test and returns its address.
func dev(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(oncelog(t), append([]string{"dev", "--headless", "--port", "0", "--log-dirs", t.TempDir(), "-o", "json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make build)", err)
	}
	var banner struct{ Bootstrap string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&banner); err != nil {
		t.Fatalf("the broker's banner: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			t.Errorf("the broker ends with %v", err)
		}
	})
	return banner.Bootstrap
}

// A judged is a broker that does not keep all rules, and where its report is.
type judged struct{ broker, dir, report string }

// judge judges a bent broker.
func judge(t *testing.T) judged {
	t.Helper()
	j := judged{broker: dev(t, bend...), dir: t.TempDir()}
	j.report = filepath.Join(j.dir, "report.html")
	cmd := exec.CommandContext(t.Context(), oncelog(t), append([]string{"conformance", "run", "-b", j.broker, "--html", "report.html", "idempotence", "produce", "txn/empty", "topic/reassign"}, failed...)...)
	cmd.Dir = j.dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("exit %d, want 1 (%v)\n%s", cmd.ProcessState.ExitCode(), err, out)
	}
	return j
}

// conformancePages are the pages of the conformance suite: a report with
// failures, the timeline of one of them, and a report without.
func conformancePages(t *testing.T) []page {
	t.Helper()
	j := judge(t)
	timelines, err := filepath.Glob(filepath.Join(j.dir, ".oncelog", "runs", "*", "*", "timeline.html"))
	if err != nil || len(timelines) != len(failed) {
		t.Fatalf("timelines %q (%v), want %d", timelines, err, len(failed))
	}
	kept := filepath.Join(j.dir, "kept.html")
	if out, err := exec.CommandContext(t.Context(), oncelog(t), "conformance", "run", "-b", j.broker, "--html", kept, "idempotence").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []page{{"report", fileURL(j.report)}, {"timeline", fileURL(timelines[0])}, {"kept", fileURL(kept)}}
}

// TestFailuresAreFollowed goes from a report to the folder of each failure, as a
// reader does: to its timeline, its lines, and by its command to the same failure again.
func TestFailuresAreFollowed(t *testing.T) {
	browser := browse(t)
	j := judge(t)
	tb := open(t, browser, fileURL(j.report), looks[0])
	shown := eval[[]string](t, tb, `[...document.querySelectorAll("article")].map(a => a.id)`)
	if len(shown) != len(failed) {
		t.Fatalf("the report shows failures of %q, want %q", shown, failed)
	}
	for _, id := range failed {
		t.Run(strings.ReplaceAll(id, "/", "-"), func(t *testing.T) {
			article := `document.getElementById("` + id + `")`
			links := eval[[]string](t, tb, `[...`+article+`.querySelectorAll("a")].map(a => a.href)`)
			if len(links) != 2 || !strings.HasSuffix(links[0], "/timeline.html") || !strings.HasSuffix(links[1], "/wire.jsonl") {
				t.Fatalf("links %q, want those of a timeline.html and a wire.jsonl", links)
			}
			follow(t, browser, links[0], id)
			lines(t, links[1])
			again(t, j, id, eval[string](t, tb, article+`.querySelector("code").textContent`))
		})
	}
	tb.quiet(t)
}

// follow opens a timeline and unfolds one of its lines.
func follow(t *testing.T, browser context.Context, address, id string) {
	t.Helper()
	tb := open(t, browser, address, looks[0])
	if title := eval[string](t, tb, `document.querySelector("h1").textContent`); !strings.HasPrefix(title, id+" ") {
		t.Errorf("the timeline is that of %q, want %s", title, id)
	}
	if eval[bool](t, tb, `document.querySelector("pre").checkVisibility()`) {
		t.Error("the fields of a request are unfolded before somebody asks for them")
	}
	tb.do(t, chromedp.Click(chromedp.CSS("summary")))
	if got := eval[string](t, tb, `document.querySelector("details[open] pre").innerText`); !strings.Contains(got, "{") {
		t.Errorf("a request unfolds to %q, want its fields", got)
	}
	tb.quiet(t)
}

// lines reads a trace: each line is a JSON object.
func lines(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(u.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for dec := json.NewDecoder(file); dec.More(); n++ {
		var entry struct{ API, Direction string }
		if err := dec.Decode(&entry); err != nil || entry.Direction == "" {
			t.Fatalf("line %d of the trace is %+v, %v", n+1, entry, err)
		}
	}
	if n == 0 {
		t.Error("the trace is empty")
	}
}

// again runs the command that the report gives, and meets the same failure.
func again(t *testing.T, j judged, id, command string) {
	t.Helper()
	args := strings.Fields(command)
	if len(args) == 0 || args[0] != "oncelog" {
		t.Fatalf("the command is %q", command)
	}
	cmd := exec.CommandContext(t.Context(), oncelog(t), args[1:]...)
	cmd.Dir = j.dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), id+" ") || !strings.Contains(string(out), "0 passed · 1 failed") {
		t.Errorf("%s: exit %d (%v), want the failure of %s\n%s", command, cmd.ProcessState.ExitCode(), err, id, out)
	}
}
