package vfs

import (
	"math/rand/v2"
	"slices"
)

// A film looks at the disk before each change of it.
type film struct {
	rng  *rand.Rand
	look func(shoot func() *Mem)
	half *halfWrite // the change is this write
}

type halfWrite struct {
	node *node
	p    []byte
	off  int64
}

// Film calls look before each change of the disk from now on. What shoot returns
// is a copy of the disk as it would be if everything stopped there: if the
// change is a write, a random part of it has happened. So one run of a program
// shows all the moments at which it may crash. look must not use m otherwise;
// nil ends the film.
func (m *Mem) Film(seed uint64, look func(shoot func() *Mem)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.film = nil
	if look != nil {
		m.film = &film{rng: rand.New(rand.NewPCG(seed, 3)), look: look}
	}
}

// next shows the disk. The caller holds its lock.
func (f *film) next(m *Mem) {
	f.look(func() *Mem {
		copies := make(map[*node]*node)
		shot := NewMem()
		shot.root = m.root.clone(copies)
		if half := f.half; half != nil {
			half.node.clone(copies).write(half.p[:f.rng.IntN(len(half.p)+1)], half.off)
		}
		return shot
	})
	f.half = nil
}

// Clone copies the whole disk, what is synced and what is not. The copy has no
// open files and no locks.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := NewMem()
	next.root = m.root.clone(make(map[*node]*node))
	return next
}

// clone copies a tree; a node that has two names has one copy.
func (n *node) clone(copies map[*node]*node) *node {
	if c := copies[n]; c != nil {
		return c
	}
	c := &node{data: slices.Clone(n.data), undo: slices.Clone(n.undo), mode: n.mode, changed: n.changed}
	copies[n] = c
	if n.dir == nil {
		return c
	}
	c.dir, c.durable = make(map[string]*node, len(n.dir)), make(map[string]*node, len(n.durable))
	for name, child := range n.dir {
		c.dir[name] = child.clone(copies)
	}
	for name, child := range n.durable {
		c.durable[name] = child.clone(copies)
	}
	return c
}
