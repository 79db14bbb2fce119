//go:build planted

package planted

import (
	"os"
	"sync/atomic"
)

// chosen is the bug of this process. The environment chooses it, as every binary
// and test of the tree must be able to have one.
var chosen = func() *atomic.Pointer[Bug] {
	var p atomic.Pointer[Bug]
	b := Bug(os.Getenv("ONCELOG_BUG"))
	p.Store(&b)
	return &p
}()

// Is says whether a bug is planted.
func Is(b Bug) bool { return *chosen.Load() == b }

// Choose plants a bug from now on in place of the one before; "": none.
func Choose(b Bug) { chosen.Store(&b) }

// Simulated lists the bugs of the simulation.
var Simulated = []Bug{
	AckBeforeCommit, HighWatermarkEarly, DuplicateAccepted, ZombieAccepted, MarkerTwice, MarkerMissing, AbortedShown,
	OpenShown, OffsetsOutside, ProducerIDTwice, FetchBeyondCommit, FsyncSkipped, FenceIgnored, LogStartForgotten,
}

// All lists every bug.
var All = append([]Bug{
	WindowShort, SequenceUnwrapped, GapAccepted, EpochAnywhere, DuplicateMoved, FencedProduce, FencedTold,
	MappingUnchecked, VerifySkipped, EmptyCommit, EndForgotten, EpochUntold, CommitAborts, FenceCommits, TimeoutUnread,
	StableOfNewest, AbortedBefore, IsolationUnread, GenerationUnread, InstanceUnfenced, StableUnread, OffsetUndone,
	FirstBatchCut, RangeUnchecked, SessionTellsAll, NullLists, NullConfigs, ChecksumUnread, ControlAccepted,
}, Simulated...)
