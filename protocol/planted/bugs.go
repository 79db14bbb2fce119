// Package planted holds the names of faults that may be planted into the broker,
// so that its checkers can be checked: a checker that finds none of them proves
// nothing by finding none.
//
// Without the build tag planted, Is is always false and the compiler leaves the
// faults out.
package planted

// A Bug is a fault at one place of the broker.
type Bug string

// The bugs, each with what it does.
const (
	AckBeforeCommit    Bug = "ack-before-commit"    // acks=all is answered when the leader has stored the batch
	HighWatermarkEarly Bug = "high-watermark-early" // what a leader has stored counts as committed
	DuplicateAccepted  Bug = "duplicate-accepted"   // a batch that was sent again is appended again
	ZombieAccepted     Bug = "zombie-accepted"      // neither partitions nor coordinators look at a producer's epoch
	MarkerTwice        Bug = "marker-twice"         // a marker is written twice
	MarkerMissing      Bug = "marker-missing"       // the last participant of a transaction gets no marker
	AbortedShown       Bug = "aborted-shown"        // readers of committed data are told of no aborted transaction
	OpenShown          Bug = "open-shown"           // the last stable offset is the high watermark
	OffsetsOutside     Bug = "offsets-outside"      // offsets of a transaction are committed when they come
	ProducerIDTwice    Bug = "producer-id-twice"    // every broker is granted the same block of producer ids
	FetchBeyondCommit  Bug = "fetch-beyond-commit"  // readers are given what is stored and not committed
	FsyncSkipped       Bug = "fsync-skipped"        // fsync=always answers before it has synced
	FenceIgnored       Bug = "fence-ignored"        // a leader without a majority answers as if it had one
	LogStartForgotten  Bug = "log-start-forgotten"  // an agreed log start is not applied
)

// All lists the bugs.
var All = []Bug{
	AckBeforeCommit, HighWatermarkEarly, DuplicateAccepted, ZombieAccepted, MarkerTwice, MarkerMissing, AbortedShown,
	OpenShown, OffsetsOutside, ProducerIDTwice, FetchBeyondCommit, FsyncSkipped, FenceIgnored, LogStartForgotten,
}
