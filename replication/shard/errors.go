package shard

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	// ErrRefused marks an append error after which nothing of the batch is, or
	// ever will be, in the log. A Partition wraps it beside the wire error.
	ErrRefused = errors.New("append refused before it was enqueued")

	// ErrFenced says, beside NOT_COORDINATOR, that this node leads as far as it
	// knows, and that a majority of the voters has been silent for so long that
	// another node may lead. It passes, or the leadership does.
	ErrFenced = errors.New("a majority of the partition's voters is silent")

	// ErrBusy says that ctx ended while another update held the key.
	ErrBusy = errors.New("key is held by another update")
)

// errDropped is what a reader of the log meets when its view is dropped.
var errDropped = errNotCoordinator("view is dropped")

// errUnreadable marks a log that this program does not understand: replaying it
// again ends the same way.
var errUnreadable = errors.New("log cannot be understood")

// errNotCoordinator is the answer of a shard that does not lead, or no longer.
func errNotCoordinator(why string) error {
	return fmt.Errorf("%s: %w", why, kerr.NotCoordinator)
}

// errLoading is the answer of a shard that leads but has not replayed its log.
func errLoading() error {
	return fmt.Errorf("replaying the partition: %w", kerr.CoordinatorLoadInProgress)
}

// errFailed is the answer of a shard whose replay met what it cannot read.
func errFailed(cause error) error {
	return fmt.Errorf("replay failed: %w: %w", cause, kerr.CoordinatorNotAvailable)
}
