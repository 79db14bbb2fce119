package broker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// errPanic is a bug of ours that a request met. It ends the request's
// connection, and the process goes on.
var errPanic = errors.New("panic in a request")

// panicked makes an error of what recover returned, with the stack; nil of nil.
func panicked(r any) error {
	if r == nil {
		return nil
	}
	if err, ok := r.(error); ok && errors.Is(err, errPanic) {
		return err // from a helper, whose stack it has
	}
	return fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
}

// A crew runs parts of one request beside its connection's goroutine, and is the
// only way for a handler to start one: a panic in a goroutine of its own would
// end the process. wait raises it again, where the connection recovers.
type crew struct {
	tasks sync.WaitGroup
	mu    sync.Mutex
	err   error // the first panic
}

// run starts one part.
func (c *crew) run(part func()) {
	c.tasks.Go(func() {
		defer func() {
			err := panicked(recover())
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.err == nil {
				c.err = err
			}
		}()
		part()
	})
}

// wait returns when all parts have, and panics if one of them did.
func (c *crew) wait() {
	c.tasks.Wait()
	if c.err != nil {
		panic(c.err)
	}
}
