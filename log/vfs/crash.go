package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
)

// sector is what a disk writes wholly or not at all.
const sector = 512

// A CrashMode says what becomes of bytes that were not synced.
type CrashMode int

// The ways to crash.
const (
	Killed CrashMode = iota // the process died; the system kept everything
	Lost                    // power loss: everything not synced is gone
	Partly                  // power loss: of the unsynced sectors, and of the unsynced directory entries, a random part is there
	Torn                    // power loss: unsynced bytes are there up to a random sector
	Prefix                  // power loss: unsynced bytes are there up to a random byte
)

// Modes are all ways to crash.
var Modes = []CrashMode{Killed, Lost, Partly, Torn, Prefix}

// A tear cuts the write at which the disk stops.
type tear struct{ rng *rand.Rand }

func (t *tear) cut(n int) int { return t.rng.IntN(n + 1) }

// CrashAfter lets n more changes of the disk happen (writes, truncations,
// syncs, creations, renames, removals); then everything fails with ErrCrashed
// until Crash. If the change that fails is a write, a random part of it happens.
func (m *Mem) CrashAfter(n int, seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.budget, m.torn = n, &tear{rand.New(rand.NewPCG(seed, 1))}
}

// Mutations counts the changes of the disk so far.
func (m *Mem) Mutations() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mutations
}

// Crash restarts the machine: open files and locks are gone, and what was not
// synced is treated as mode says. The seed makes it repeatable.
func (m *Mem) Crash(mode CrashMode, seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	m.budget, m.crashed, m.torn = -1, false, nil
	clear(m.locks)
	if mode != Killed {
		m.boot++
		m.root.crash(mode, rand.New(rand.NewPCG(seed, 2)))
	}
}

// Boot counts the crashes that took what was not synced.
func (m *Mem) Boot() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strconv.Itoa(m.boot)
}

// crash leaves of a tree what is durable, and by chance a part of the rest.
func (n *node) crash(mode CrashMode, rng *rand.Rand) {
	if n.dir == nil {
		n.crashFile(mode, rng)
		return
	}
	left := make(map[string]*node, len(n.durable))
	for _, name := range sortedNames(n.durable, n.dir) {
		entry := n.durable[name]
		if mode == Partly && n.durable[name] != n.dir[name] && rng.IntN(2) == 0 {
			entry = n.dir[name]
		}
		if entry != nil {
			entry.crash(mode, rng)
			left[name] = entry
		}
	}
	n.dir = left
	n.durable = make(map[string]*node, len(left))
	for name, child := range left {
		n.durable[name] = child
	}
}

func (n *node) crashFile(mode CrashMode, rng *rand.Rand) {
	if len(n.undo) == 0 {
		return
	}
	seen := append([]byte(nil), n.data...)
	for i := len(n.undo) - 1; i >= 0; i-- {
		u := n.undo[i]
		if u.size < int64(len(n.data)) {
			n.data = n.data[:u.size]
		} else {
			n.grow(u.size)
		}
		copy(n.data[min(u.off, u.size):], u.old)
	}
	n.undo = nil
	switch mode {
	case Partly:
		n.merge(seen, func(int) bool { return rng.IntN(2) == 0 }, rng.IntN(2) == 0)
	case Torn:
		until := rng.IntN(len(seen)/sector + 2)
		n.merge(seen, func(i int) bool { return i < until }, false)
		if size := min(len(seen), until*sector); size > len(n.data) {
			n.grow(int64(size))
		}
	case Prefix:
		until := rng.IntN(len(seen) + 1)
		if until > len(n.data) {
			n.grow(int64(until))
		}
		copy(n.data, seen[:until])
	}
}

// merge takes over the chosen sectors of what the process had seen; a longer
// size comes with the last chosen sector, or wholly.
func (n *node) merge(seen []byte, chosen func(i int) bool, wholeSize bool) {
	for at := 0; at < len(seen); at += sector {
		part := seen[at:min(at+sector, len(seen))]
		if !chosen(at / sector) {
			continue
		}
		if end := at + len(part); end > len(n.data) {
			n.grow(int64(end))
		}
		copy(n.data[at:], part)
	}
	if wholeSize {
		if len(seen) > len(n.data) {
			n.grow(int64(len(seen)))
		}
		n.data = n.data[:len(seen)]
	}
}

// sortedNames is the union of the names of two directories, sorted.
func sortedNames(a, b map[string]*node) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
