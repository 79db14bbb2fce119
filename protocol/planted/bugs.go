// Package planted holds the names of faults that may be planted into the broker,
// so that its checkers can be checked: a checker that finds none of them proves
// nothing by finding none.
//
// Without the build tag planted, Is is always false and the compiler leaves the
// faults out.
package planted

// A Bug is a fault at one place of the broker.
type Bug string

// Bugs that the simulation of three brokers finds, each with what it does.
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

// Bugs that only rules of the conformance suite look for: no client of the
// simulation asks for what they break.
const (
	WindowShort       Bug = "window-short"       // only the newest batch of a producer is known as a duplicate
	SequenceUnwrapped Bug = "sequence-unwrapped" // sequences do not wrap at 2^31
	GapAccepted       Bug = "gap-accepted"       // a sequence need not follow the one before
	EpochAnywhere     Bug = "epoch-anywhere"     // a new epoch may begin at any sequence
	DuplicateMoved    Bug = "duplicate-moved"    // a duplicate is answered with the offset that a new batch would get
	FencedProduce     Bug = "fenced-produce"     // a fenced Produce is PRODUCER_FENCED
	FencedTold        Bug = "fenced-told"        // old clients of the coordinator are told PRODUCER_FENCED, which they do not know
	MappingUnchecked  Bug = "mapping-unchecked"  // a transactional id may be used with the producer id of another
	VerifySkipped     Bug = "verify-skipped"     // a transactional batch needs no partition of its transaction
	EmptyCommit       Bug = "empty-commit"       // the commit of an empty transaction is no error
	EndForgotten      Bug = "end-forgotten"      // EndTxn asked again is refused
	EpochUntold       Bug = "epoch-untold"       // EndTxn bumps the epoch and tells the one before
	CommitAborts      Bug = "commit-aborts"      // the markers of a commit abort
	FenceCommits      Bug = "fence-commits"      // InitProducerId commits the open transaction
	TimeoutUnread     Bug = "timeout-unread"     // transactions have no timeout
	StableOfNewest    Bug = "stable-of-newest"   // the newest open transaction holds the last stable offset
	AbortedBefore     Bug = "aborted-before"     // aborted transactions that began below the fetched offset are left out
	IsolationUnread   Bug = "isolation-unread"   // ListOffsets tells readers of committed data the high watermark
	GenerationUnread  Bug = "generation-unread"  // offsets may be committed in an old generation
	InstanceUnfenced  Bug = "instance-unfenced"  // the old id of a static member is not fenced
	StableUnread      Bug = "stable-unread"      // RequireStable does not wait for a transaction
	OffsetUndone      Bug = "offset-undone"      // the commit of a transaction undoes offsets that were committed after its own
	FirstBatchCut     Bug = "first-batch-cut"    // a batch above the limit of a fetch is not returned
	RangeUnchecked    Bug = "range-unchecked"    // no offset is out of range
	SessionTellsAll   Bug = "session-tells-all"  // in a fetch session every partition is answered
	NullLists         Bug = "null-lists"         // no list of aborted transactions, where an empty one is due
	NullConfigs       Bug = "null-configs"       // CreateTopics answers null for the configs of a topic
	ChecksumUnread    Bug = "checksum-unread"    // the checksum of a batch is not looked at
	ControlAccepted   Bug = "control-accepted"   // a client may write control batches
)
