package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A child is one broker of a cluster, in a process of its own.
type child struct {
	id              int32
	args            []string // of serve
	dir             string
	bootstrap, http string
	logs            io.Writer
	changed         func(state string) // called when the process serves or has ended

	mu  sync.Mutex
	now *running // the newest process
}

// A running process, or one that has ended.
type running struct {
	cmd     *exec.Cmd
	alive   io.Closer     // standard input: its end tells the process that its parent is gone
	serving chan struct{} // closed when it said where it serves
	done    chan struct{} // closed when it has ended
	paused  bool
}

func (r *running) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// start runs the broker, and returns before it serves.
func (c *child) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != nil && !c.now.over() {
		return fmt.Errorf("broker %d runs already, as process %d", c.id, c.now.cmd.Process.Pid)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it as broker %d: %w", c.id, err)
	}
	r := &running{cmd: exec.Command(self, c.args...), serving: make(chan struct{}), done: make(chan struct{})}
	r.cmd.Stderr = c.logs
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if r.alive, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start broker %d: %w", c.id, err)
	}
	c.now = r
	go c.watch(r, out)
	return nil
}

// watch notes when a process serves and when it has ended, which closes done.
func (c *child) watch(r *running, out io.Reader) {
	defer close(r.done)
	said := bufio.NewReader(out)
	if _, err := said.ReadBytes('\n'); err == nil {
		close(r.serving)
		c.changed(childRuns)
	}
	_, _ = io.Copy(io.Discard, said) // it says nothing more
	_ = r.cmd.Wait()                 // how it ended is in ProcessState
	c.changed(childEnded)
}

// running returns the process, if there is one.
func (c *child) running() (*running, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil || c.now.over() {
		return nil, fmt.Errorf("broker %d has no running process", c.id)
	}
	return c.now, nil
}

func (c *child) kill() error {
	r, err := c.running()
	if err != nil {
		return err
	}
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill broker %d: %w", c.id, err)
	}
	<-r.done
	return nil
}

// stop asks the process to end, and kills one that does not.
func (c *child) stop() error {
	r, err := c.running()
	if err != nil {
		return err
	}
	if err := c.setPaused(false); err != nil {
		return err
	}
	if err := terminate(r.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop broker %d: %w", c.id, err)
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(2 * closeTimeout):
		return errors.Join(fmt.Errorf("broker %d did not end within %v and is killed", c.id, 2*closeTimeout), c.kill())
	}
}

// setPaused stops the process or lets it go on; twice is as once.
func (c *child) setPaused(paused bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil || c.now.over() {
		return fmt.Errorf("broker %d has no running process", c.id)
	}
	if c.now.paused == paused {
		return nil
	}
	act, name := pause, "pause"
	if !paused {
		act, name = resume, "resume"
	}
	if err := act(c.now.cmd.Process); err != nil {
		return fmt.Errorf("%s broker %d: %w", name, c.id, err)
	}
	c.now.paused = paused
	return nil
}

// awaitServing waits until the process serves clients.
func (c *child) awaitServing(ctx context.Context) error {
	r, err := c.running()
	if err != nil {
		return err
	}
	select {
	case <-r.serving:
		return nil
	case <-r.done:
		return failed(max(r.cmd.ProcessState.ExitCode(), exitFailed), "broker %d has ended (%s), see its log above", c.id, r.cmd.ProcessState)
	case <-ctx.Done():
		return fmt.Errorf("broker %d does not serve yet: %w", c.id, context.Cause(ctx))
	}
}

// What a child does.
const (
	childRuns   = "running"
	childStarts = "starting"
	childPaused = "paused"
	childEnded  = "ended"
)

// state says what the child does, and its process id, 0 when there is none.
func (c *child) state() (state string, pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.now == nil || c.now.over():
		return childEnded, 0
	case c.now.paused:
		return childPaused, c.now.cmd.Process.Pid
	}
	select {
	case <-c.now.serving:
		return childRuns, c.now.cmd.Process.Pid
	default:
		return childStarts, c.now.cmd.Process.Pid
	}
}

// A prefixed writes whole lines, each behind a prefix, to a writer that several
// share.
type prefixed struct {
	prefix string
	mu     *sync.Mutex // of out
	out    io.Writer
	part   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.part = append(p.part, b...)
	end := bytes.LastIndexByte(p.part, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	var lines []byte
	for line := range bytes.Lines(p.part[:end]) {
		lines = append(append(lines, p.prefix...), line...)
	}
	p.part = append(p.part[:0], p.part[end:]...)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(lines)
	return len(b), err
}
