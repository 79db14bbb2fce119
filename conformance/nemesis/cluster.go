package nemesis

import (
	"context"
	"time"
)

// A Cluster is what can be done to brokers. Nodes are named by their node.id.
type Cluster interface {
	// Nodes lists the brokers, whether they run or not.
	Nodes() []int32
	// Bootstrap is where clients begin.
	Bootstrap() []string

	// Kill ends a broker's process at once, and returns when it is gone.
	Kill(node int32) error
	// Terminate asks a broker to end, and returns when it has.
	Terminate(node int32) error
	// Ended says that a broker has no process.
	Ended(node int32) bool
	// Start starts a broker that has ended, with the data that it has.
	Start(node int32) error
	// AwaitServing waits until a broker that was started serves clients.
	AwaitServing(ctx context.Context, node int32) error
	// Pause stops a process as SIGSTOP does, and Resume lets it go on.
	Pause(node int32) error
	Resume(node int32) error

	// Add starts one more broker, which joins the others, and returns when it
	// serves; after an error it can be asked for again. Remove moves the replicas of
	// a broker that was added elsewhere, takes it off the cluster and ends it. The
	// links of such a broker cannot be cut.
	Add(ctx context.Context) (node int32, err error)
	Remove(ctx context.Context, node int32) error

	// Cut holds the bytes from one broker to another, Slow delays them, and Heal
	// ends both for all.
	Cut(from, to int32) error
	Slow(from, to int32, delay time.Duration) error
	Heal() error
}
