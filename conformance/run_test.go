package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// serveTiny answers ApiVersions and Metadata, the least a run needs, and closes
// on anything else; it says that it has CreateTopics, too.
func serveTiny(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				for r := bufio.NewReader(nc); answerTiny(r, nc, l.Addr()) == nil; {
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// answerTiny answers one request.
func answerTiny(r io.Reader, w io.Writer, self net.Addr) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, frame); err != nil {
		return err
	}
	out := append([]byte{0, 0, 0, 0}, frame[4:8]...)
	version := int16(binary.BigEndian.Uint16(frame[2:]))
	switch int16(binary.BigEndian.Uint16(frame)) {
	case keyApiVersions:
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = version
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: keyApiVersions, MaxVersion: 3}, {ApiKey: keyMetadata, MaxVersion: 4}, {ApiKey: keyCreateTopics}}
		out = resp.AppendTo(out)
	case keyMetadata:
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = version
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 1, "127.0.0.1", int32(self.(*net.TCPAddr).Port)
		resp.Brokers = append(resp.Brokers, b)
		out = resp.AppendTo(out)
	default:
		return io.ErrUnexpectedEOF
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	_, err := w.Write(out)
	return err
}

// stopper ends a run as soon as it says something.
type stopper func()

func (s stopper) Write(b []byte) (int, error) {
	s()
	return len(b), nil
}

func TestStoppedRunReportsWhatItSkipped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	report, err := Run(ctx, Config{Brokers: []string{serveTiny(t)}, Progress: stopper(cancel)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if got := report.Count(Skip); got != len(Cases()) {
		t.Errorf("%d skipped, want %d", got, len(Cases()))
	}
}

func TestRunReportsPassFailAndSkip(t *testing.T) {
	var progress bytes.Buffer
	addr := serveTiny(t)
	report, err := Run(t.Context(), Config{
		Brokers: []string{addr}, Parallel: 2, Progress: &progress,
		Filter: []string{"protocol/versions/2", "txn/empty/1", "produce/minisr/1", "group/describe/1", "group/join/2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Verdict{Pass, Fail, Skip, Skip, Skip} // in the order of the list of cases
	for i, r := range report.Results {
		if r.Verdict != want[i] {
			t.Errorf("%s is %s, want %s: %+v", r.ID, r.Verdict, want[i], r.Checks)
		}
	}
	if got, want := report.Results[2].Reason, "needs FindCoordinator, which is not offered"; got != want {
		t.Errorf("a case that comes to a request that is not there is skipped as %q, want %q", got, want)
	}
	if report.OK() || report.Run == "" || report.Target.Brokers != 1 {
		t.Errorf("report %+v", report)
	}
	for _, part := range []string{"target  speaks Kafka", "rerun       oncelog conformance run -b " + addr + " produce/minisr/1", "1 passed · 1 failed"} {
		if !strings.Contains(progress.String(), part) {
			t.Errorf("progress lacks %q:\n%s", part, progress.String())
		}
	}
	var whole bytes.Buffer
	if err := report.WriteText(&whole); err != nil || !strings.HasSuffix(whole.String(), report.Summary()+"\n") {
		t.Errorf("text %q, %v", whole.String(), err)
	}
}

func TestCaseThatDiffersLeavesItsTrace(t *testing.T) {
	traces := t.TempDir()
	config := Config{
		Brokers: []string{serveTiny(t)}, Traces: traces, Seed: 7, Repeat: 2,
		Filter: []string{"protocol/versions/2", "produce/minisr/1"},
	}
	report, err := Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	folders, err := os.ReadDir(filepath.Join(traces, report.Run))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, f.Name())
	}
	if want := []string{"produce-minisr-1", "produce-minisr-1-2"}; !slices.Equal(names, want) {
		t.Fatalf("folders %q, want %q", names, want)
	}
	for _, r := range report.Results {
		if (r.Trace != "") != (r.Verdict == Fail) {
			t.Errorf("%s is %s and has the trace %q", r.ID, r.Verdict, r.Trace)
		}
	}
	for name, want := range map[string]string{
		WireFile:     `"direction":"request","api":"CreateTopics"`,
		TimelineFile: "CreateTopics v0",
		caseFile:     `"seed": 7`,
	} {
		raw, err := os.ReadFile(filepath.Join(traces, report.Run, names[0], name))
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %s (%v):\n%s", name, want, err, raw)
		}
	}
}

func TestTerminalHasOneLineThatIsRewritten(t *testing.T) {
	var out bytes.Buffer // both streams of one terminal
	_, err := Run(t.Context(), Config{Brokers: []string{serveTiny(t)}, Filter: []string{"protocol/versions/2", "txn/empty/1"}, Progress: &out, Status: &out})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), eraseLine)
	if want := "0 of 2, 0 failed, at protocol/versions/2"; !slices.Contains(lines, want) {
		t.Errorf("the terminal never showed %q: %q", want, lines)
	}
	for _, line := range lines {
		if strings.Contains(line, " of 2, ") && strings.Contains(line, "\n") {
			t.Errorf("the status %q ends its line: it cannot be rewritten", line)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, " s\n") || strings.Contains(last, " of 2, ") {
		t.Errorf("the terminal ends with %q, want the summary alone", last)
	}
}

func TestCasesThatWantToBeAloneAre(t *testing.T) {
	s, err := open(t.Context(), Config{Brokers: []string{serveTiny(t)}, Parallel: 4})
	if err != nil {
		t.Fatal(err)
	}
	var running atomic.Int32
	var cases []Case
	for i := range 8 {
		alone := i%2 == 0
		cases = append(cases, Case{ID: fmt.Sprintf("a/b/%d", i+1), Level: Must, Alone: alone, Run: func(t *T) {
			others := running.Add(1) - 1
			defer running.Add(-1)
			askOn[*kmsg.ApiVersionsResponse](t, t.node(t.any()), t.versionsRequest(3))
			if alone {
				t.equal("others at the same time", others, 0)
			}
		}})
	}
	for _, r := range s.round(t.Context(), cases, 0, &progress{}) {
		if r.Verdict != Pass {
			t.Errorf("%s is %s: %+v", r.ID, r.Verdict, r.Checks)
		}
	}
}
