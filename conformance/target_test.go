//go:build unix

package conformance

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/conformance/nemesis"
)

// tinyAddress is where a process of this test binary serves as serveTiny does.
const tinyAddress = "CONFORMANCE_TINY"

// TestMain serves, in a process that a run started, a broker that dies of the
// key -1.
func TestMain(m *testing.M) {
	addr := os.Getenv(tinyAddress)
	if addr == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			r := bufio.NewReader(nc)
			for {
				if head, err := r.Peek(6); err == nil && head[4] == 0xff && head[5] == 0xff {
					os.Exit(2)
				}
				if answerTiny(r, nc, l.Addr()) != nil {
					_ = nc.Close()
					return
				}
			}
		}()
	}
}

// mortal is the address of a target that is not started yet, and the command
// that starts it.
func mortal(t *testing.T) (addr, command string) {
	t.Helper()
	l, err := nemesis.ListenLow()
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return addr, fmt.Sprintf("%s=%s '%s'", tinyAddress, addr, self)
}

func TestTargetThatDiesIsStartedAnew(t *testing.T) {
	addr, command := mortal(t)
	report, err := Run(t.Context(), Config{
		Brokers: []string{addr}, Start: command, Destructive: true, Filter: []string{"protocol/close/1", "protocol/versions/2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{"protocol/versions/2": Pass, "protocol/close/1": Fail}
	for _, r := range report.Results {
		if r.Verdict != want[r.ID] {
			t.Errorf("%s is %s, want %s", r.ID, r.Verdict, want[r.ID])
		}
	}
	if !strings.Contains(text.String(), "actual      the target: it died and was started anew") {
		t.Errorf("nothing tells that the target died:\n%s", text.String())
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		_ = nc.Close()
		t.Error("the target that the run started outlives it")
	}
}

func TestCasesBesideADyingTargetAreRunAgainAlone(t *testing.T) {
	addr, command := mortal(t)
	s, err := open(t.Context(), Config{Brokers: []string{addr}, Start: command, Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.target.stop()
	connected, died := make(chan struct{}), make(chan struct{})
	var connects, dies sync.Once
	var ran atomic.Int32
	cases := []Case{
		{ID: "a/killer/1", Level: Must, Run: func(t *T) {
			<-connected
			c := t.dialNode(t.any())
			if err := c.sendRaw([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
				t.fatalf("key -1", "sent", "%v", err)
			}
			_, err := c.readFrame()
			dies.Do(func() { close(died) })
			t.record("key -1", err == nil, "an answer", fmt.Sprint(err))
		}},
		{ID: "a/bystander/1", Level: Must, Run: func(t *T) {
			c := t.node(t.any())
			ran.Add(1)
			connects.Do(func() { close(connected) })
			<-died
			askOn[*kmsg.ApiVersionsResponse](t, c, t.versionsRequest(3))
		}},
	}
	results := s.round(t.Context(), cases, 0, &progress{})
	if got := ran.Load(); got != 2 {
		t.Errorf("the bystander ran %d times, want 2", got)
	}
	if results[0].Verdict != Fail || results[1].Verdict != Pass {
		t.Errorf("verdicts %s and %s, want %s and %s: %+v", results[0].Verdict, results[1].Verdict, Fail, Pass, results)
	}
}

func TestTargetThatDiesForGoodSkipsTheRest(t *testing.T) {
	addr, command := mortal(t)
	s, err := open(t.Context(), Config{Brokers: []string{addr}, Start: command})
	if err != nil {
		t.Fatal(err)
	}
	defer s.target.stop()
	s.target.command = "" // from now on nothing says how it is started
	kill := Case{ID: "a/killer/1", Level: Must, Run: func(t *T) {
		c := t.dialNode(t.any())
		_ = c.sendRaw([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff})
		_, err := c.readFrame()
		t.record("key -1", err == nil, "an answer", fmt.Sprint(err))
	}}
	results := s.round(t.Context(), []Case{kill, {ID: "a/next/1", Level: Must, Run: func(*T) {}}}, 0, &progress{})
	if results[0].Verdict != Fail || results[1].Verdict != Skip || !strings.Contains(results[1].Reason, "died") {
		t.Errorf("results %+v, want a failure and a skip", results)
	}
}
