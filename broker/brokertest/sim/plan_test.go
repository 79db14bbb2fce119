//go:build synctests

package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/oncelog/oncelog/conformance/verify"
	"github.com/oncelog/oncelog/log/vfs"
)

// nodes are all there are.
var nodes = []int32{1, 2, 3}

// A kind is one way in which a node, or its net or disk, goes wrong.
type kind string

const (
	cutOff    kind = "cut off"       // nothing passes between the node and the others
	deaf      kind = "deaf"          // nothing reaches the node from the others
	mute      kind = "mute"          // nothing reaches the others from the node
	parted    kind = "parted"        // nothing passes between the node and one other
	stalled   kind = "stalled"       // the node and everybody else, clients too, hear nothing of each other
	slow      kind = "slow"          // all that the node sends arrives late
	restarted kind = "restarted"     // the node is asked to stop, and started again
	killed    kind = "killed"        // the node's process is killed, and started again
	unplugged kind = "power cut"     // and what was not synced is gone
	wiped     kind = "disk emptied"  // the process is killed, and nothing is left of what it wrote
	faulty    kind = "disk errors"   // some of the node's writes, syncs or truncations fail
	full      kind = "disk full"     // nothing more can be written to the node's disk
	killedAll kind = "all killed"    // every process
	cutAll    kind = "all power cut" // every node
)

// A fault is what happens to one node for a while.
type fault struct {
	after  time.Duration // the end of the fault before it
	kind   kind
	node   int32
	other  int32 // of parted
	length time.Duration
	delay  time.Duration // of slow
	rule   vfs.Rule      // of faulty and full
	mode   vfs.CrashMode // of a power cut
	seed   uint64        // of a power cut
	beside *fault        // begins with it, on another node
}

func (f fault) String() string {
	text := fmt.Sprintf("+%v %s", f.after, f.kind)
	switch f.kind {
	case killedAll, cutAll:
	case parted:
		text += fmt.Sprintf(" nodes %d and %d", f.node, f.other)
	default:
		text += fmt.Sprintf(" node %d", f.node)
	}
	switch f.kind {
	case slow:
		text += fmt.Sprintf(" by %v", f.delay)
	case faulty:
		text += fmt.Sprintf(" %v after %d, %d times, %v, %d bytes written", f.rule.Op, f.rule.After, f.rule.Times, f.rule.Error, f.rule.Short)
	case unplugged, cutAll:
		text += fmt.Sprintf(" in mode %d of seed %d", f.mode, f.seed)
	}
	text += fmt.Sprintf(" for %v", f.length)
	if f.beside != nil {
		text += ", beside it" + strings.TrimPrefix(f.beside.String(), fmt.Sprintf("+%v", f.beside.after))
	}
	return text
}

// A plan is all that a seed decides: what happens to the nodes, and which
// clients there are. The same seed gives the same plan; who runs when within
// the same moment is up to Go.
type plan struct {
	seed    uint64
	synced  bool // fsync=always: power cuts take nothing that was promised
	clients []string
	tidies  bool // there is a tidier
	mishaps verify.Mishaps
	faults  []fault
}

func (p plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "fsync always: %v; clients %v, a tidier: %v, mishaps: %+v", p.synced, p.clients, p.tidies, p.mishaps)
	for _, f := range p.faults {
		fmt.Fprintf(&s, "\n  %v", f)
	}
	return s.String()
}

// busy is much to happen to clients.
var busy = verify.Mishaps{Lifetime: 4 * time.Second, Zombies: 1.0 / 10, Late: 1.0 / 20, Lost: 1.0 / 30}

// planOf makes the plan of a seed.
func planOf(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 5))
	p := plan{seed: seed, synced: r.IntN(2) == 0, tidies: r.IntN(3) == 0}
	p.clients = []string{"idempotent-0", "etl-0", []string{"tv2-0", "tv2-1", "tv1-0"}[r.IntN(3)]}
	for _, also := range []string{"idempotent-1", "etl-1", "tv2-0", "tv1-0", "member-0", "member-1"} {
		if r.IntN(4) == 0 && !slices.Contains(p.clients, also) {
			p.clients = append(p.clients, also)
		}
	}
	if r.IntN(3) == 0 {
		p.mishaps = busy
	}
	for range 3 + r.IntN(4) {
		f := faultOf(r, p.synced, nodes)
		if !f.kind.ofAll() && r.IntN(5) == 0 {
			beside := faultOf(r, p.synced, slices.DeleteFunc(slices.Clone(nodes), func(n int32) bool { return n == f.node }))
			if !beside.kind.ofAll() {
				f.beside = &beside
			}
		}
		p.faults = append(p.faults, f)
	}
	if r.IntN(2) == 0 {
		p.forget(r)
	}
	return p
}

// forget has one node forget what it answered for, once: two that did are a majority
// that did (hard-29).
func (p *plan) forget(r *rand.Rand) {
	f := &p.faults[r.IntN(len(p.faults))]
	f.beside, f.kind = nil, wiped
	if !p.synced && r.IntN(2) == 0 {
		f.kind = unplugged
	}
}

func (k kind) ofAll() bool { return k == killedAll || k == cutAll }

// faultOf chooses a fault of one of some nodes.
func faultOf(r *rand.Rand, synced bool, among []int32) fault {
	kinds := []kind{cutOff, cutOff, deaf, mute, parted, stalled, slow, restarted, killed, killed, faulty, faulty, full, killedAll}
	if synced {
		kinds = append(kinds, unplugged, unplugged, cutAll)
	}
	f := fault{
		after: time.Duration(r.IntN(1200)) * time.Millisecond, kind: kinds[r.IntN(len(kinds))], node: among[r.IntN(len(among))],
		length: time.Duration(100+r.IntN(2400)) * time.Millisecond, delay: time.Duration(1+r.IntN(400)) * time.Millisecond,
		mode: []vfs.CrashMode{vfs.Lost, vfs.Partly, vfs.Torn, vfs.Prefix}[r.IntN(4)], seed: r.Uint64(),
	}
	f.other = f.node%3 + 1
	f.rule = vfs.Rule{
		Op: []vfs.Op{vfs.OpWrite, vfs.OpWrite, vfs.OpSync, vfs.OpTruncate}[r.IntN(4)], After: r.IntN(20), Times: 1 + r.IntN(3),
		Error: []error{vfs.ENOSPC, vfs.EIO}[r.IntN(2)], Short: r.IntN(100),
	}
	return f
}
