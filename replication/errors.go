package replication

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Errors of this package that a caller may want to tell apart.
var (
	// ErrClosed says that the node or the partition is closed.
	ErrClosed = fmt.Errorf("replication: closed: %w", kerr.NotLeaderForPartition)
	// ErrRefused says that what was asked for is not in the log and never will
	// be: it comes beside the error that clients see. Without it an append that
	// failed may still be found in the log.
	ErrRefused = errors.New("replication: refused before it was stored")
	// ErrGuardGone says that a batch of a transaction came without a guard that
	// still stands: ask the coordinator again (hard-07). What the client sees
	// depends on its request's version: INVALID_TXN_STATE or TRANSACTION_ABORTABLE.
	ErrGuardGone = fmt.Errorf("replication: no verified transaction is open: %w", kerr.InvalidTxnState)

	// ErrMembers says that the members of a group did not become what was asked
	// for. It may be asked for again.
	ErrMembers = errors.New("replication: members did not change")

	errNotLeader = fmt.Errorf("this replica does not lead the partition: %w", kerr.NotLeaderForPartition)
	errNoLink    = errors.New("replication: no link to that node")
	errBusy      = errors.New("replication: replica has too many requests in line")

	errPipelineBroken = errors.New("replication: the pipeline to a follower broke")
	errNoSnapshot     = errors.New("replication: raft takes no snapshots, the boundary is the only one")
	errHeld           = errors.New("replication: the log holds the snapshot's last entry and all before it")
	errRenewed        = fmt.Errorf("replication: raft starts anew behind an installed boundary: %w", kerr.NotLeaderForPartition)
)

// storageError is what clients see of a disk error.
func storageError(err error) error {
	return fmt.Errorf("partition is offline: %w: %w", err, kerr.KafkaStorageError)
}

// A refusedError adds ErrRefused to an error without changing its text.
type refusedError struct{ error }

// Unwrap gives the error that clients see.
func (e refusedError) Unwrap() error { return e.error }

// Is finds ErrRefused.
func (e refusedError) Is(target error) bool { return target == ErrRefused }
