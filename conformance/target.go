package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const (
	startPatience = 2 * time.Minute  // for a target to answer once it is started
	stopPatience  = 15 * time.Second // for a target to end by itself
	alivePatience = 5 * time.Second  // for a target that lives to answer
)

// A target is the process behind the addresses, where the run may start it.
//
// All but command belongs to whoever has the turn; the others wait while one
// worker starts it anew.
type target struct {
	command string
	turn    chan struct{} // holds one token while somebody has the turn
	cmd     *exec.Cmd
	alive   *os.File      // at its end once no process holds the other side of the pipe
	ended   chan struct{} // closed once cmd and what it started have ended
	starts  int
	dead    bool // it died and cannot be started
}

func newTarget(command string) *target {
	return &target{command: command, turn: make(chan struct{}, 1)}
}

func (tg *target) take() { tg.turn <- struct{}{} }
func (tg *target) give() { <-tg.turn }

// generation counts the starts; a case that saw it change outlived a target.
func (tg *target) generation() int {
	tg.take()
	defer tg.give()
	return tg.starts
}

func (tg *target) lost() bool {
	tg.take()
	defer tg.give()
	return tg.dead
}

// revive looks whether the target died since a generation, and starts it anew
// if it did.
//
// Errors: it died and was not started, as nothing says how or it failed.
func (s *suite) revive(ctx context.Context, generation int) (died bool, err error) {
	tg := s.target
	tg.take()
	defer tg.give()
	if tg.starts != generation {
		return true, nil
	}
	asking, cancel := context.WithTimeout(ctx, alivePatience)
	defer cancel()
	_, err = openCluster(asking, s.config)
	if err == nil || ctx.Err() != nil {
		return false, nil
	}
	if tg.command == "" {
		tg.dead = true
		return false, fmt.Errorf("it no longer answers: %w", err)
	}
	c, err := tg.restart(ctx, s.config)
	if err != nil {
		tg.dead = true
		return false, err
	}
	s.cluster.Store(c)
	return true, nil
}

// start runs the command for the first time.
func (tg *target) start(ctx context.Context, config Config) (*cluster, error) {
	tg.take()
	defer tg.give()
	return tg.restart(ctx, config)
}

// restart ends what is left of the target, runs the command and waits until it
// answers.
func (tg *target) restart(ctx context.Context, config Config) (*cluster, error) {
	tg.end()
	alive, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", tg.command)
	group(cmd, held)
	err = errors.Join(cmd.Start(), held.Close())
	if err != nil {
		return nil, fmt.Errorf("the target cannot be started: %w", errors.Join(err, alive.Close()))
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()                 // how it ended is nobody's business
		_, _ = alive.Read([]byte{'?'}) // nothing is ever written: it returns once all ended, or alive is closed
		close(ended)
	}()
	tg.cmd, tg.alive, tg.ended = cmd, alive, ended
	tg.starts++
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return answers(ctx, config, ended)
}

// answers waits until the target does. A command may end before that: it may
// have left a server behind.
func answers(ctx context.Context, config Config, ended <-chan struct{}) (*cluster, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		c, err := openCluster(ctx, config)
		if err == nil || errors.Is(err, ErrRemote) {
			return c, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			select {
			case <-ended:
				err = errors.Join(errors.New("its command has ended"), err)
			default:
			}
			return nil, fmt.Errorf("the target was started and does not answer: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}

// stop ends the target if this run started it.
func (tg *target) stop() {
	tg.take()
	defer tg.give()
	tg.end()
}

func (tg *target) end() {
	if tg.cmd == nil {
		return
	}
	defer func() { tg.cmd = nil }()
	terminate(tg.cmd)
	if !tg.endsWithin(stopPatience) {
		kill(tg.cmd)
		tg.endsWithin(stopPatience)
	}
	_ = tg.alive.Close() // wakes the reader, if what was started has left the group and goes on
	<-tg.ended
}

func (tg *target) endsWithin(d time.Duration) bool {
	patient := time.NewTimer(d)
	defer patient.Stop()
	select {
	case <-tg.ended:
		return true
	case <-patient.C:
		return false
	}
}
