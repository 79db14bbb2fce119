package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// asProgram makes the test binary the program itself, so that tests can start,
// signal and kill real processes without building anything.
const asProgram = "ONCELOG_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the program as a child process of the test.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// A banner is the line that a broker prints with -o json.
type banner struct {
	Bootstrap string       `json:"bootstrap"`
	ClusterID string       `json:"cluster_id"`
	HTTP      string       `json:"http"`
	LogDirs   string       `json:"log_dirs"`
	PID       int          `json:"pid"`
	Brokers   []bannerNode `json:"brokers"`
}

// A process is a broker in a process of its own.
type process struct {
	banner
	cmd  *exec.Cmd
	errs *lines
	said chan []byte   // its banner; closed without one when it ended before
	done chan struct{} // closed when the process has ended
}

// lines collects what a process says, for the message of a failed test.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a broker and waits for its banner.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, args...)
	if line, ok := <-p.said; !ok {
		<-p.done
		t.Fatalf("no banner; the broker said:\n%s", p.errs)
	} else if err := json.Unmarshal(line, &p.banner); err != nil {
		p.kill()
		t.Fatalf("banner %q: %v; the broker said:\n%s", line, err, p.errs)
	}
	return p
}

// launch runs a broker and waits for nothing.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(t, append(args, "-o", "json")...), errs: &lines{}, said: make(chan []byte, 1), done: make(chan struct{})}
	p.cmd.Stderr = p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer close(p.said)
		if line, err := bufio.NewReader(out).ReadBytes('\n'); err == nil {
			p.said <- line
		}
		p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// port is the port that clients use.
func (p *process) port() string { return p.Bootstrap[strings.LastIndexByte(p.Bootstrap, ':')+1:] }

// hangs bounds what a test waits for, and judges nothing: verify chaos of three faults
// takes most of a minute where others keep the machine busy.
const hangs = 4 * time.Minute

// execute runs one command line inside the test and returns what it printed.
func execute(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var o, e bytes.Buffer
	code = run(ctx, args, strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

// untilLed runs a command until what it says is as wanted.
func untilLed(t *testing.T, p *process, into any, ok func() bool, args ...string) {
	t.Helper()
	args = append(args, "-o", "json", "-b", p.Bootstrap)
	var code int
	var out, errOut string
	for began := time.Now(); time.Since(began) < hangs; {
		code, out, errOut = execute(t, "", args...)
		if code == exitOK && json.Unmarshal([]byte(out), into) == nil && ok() {
			return
		}
	}
	t.Fatalf("%v: exit %d, %s%s", args, code, out, errOut)
}
