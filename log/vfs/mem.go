package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrCrashed is what every operation answers between the moment set by
// CrashAfter and the call of Crash, and what files opened before a Crash answer
// for ever.
var ErrCrashed = errors.New("vfs: crashed")

// A Mem is a file system in memory that remembers what was synced: bytes by
// File.Sync, directory entries by SyncDir. Crash takes the rest away.
//
// One mutex guards all of it; it is held for memory work only.
type Mem struct {
	mu         sync.Mutex
	root       *node
	locks      map[string]int // lock file -> generation that holds it
	generation int            // counts crashes
	boot       int            // counts those that took what was not synced
	budget     int            // mutations until everything fails; -1: no end
	torn       *tear          // how the write that meets the end is cut
	crashed    bool
	mutations  int
	film       *film
}

// A node is a file or a directory. What is durable of it is kept apart.
type node struct {
	dir     map[string]*node // nil for a file
	durable map[string]*node // the directory as of its last SyncDir
	data    []byte
	undo    []undo // what to take back, newest last, to be as of the last Sync
	mode    fs.FileMode
	changed time.Time
}

// undo restores a file: first its size, then bytes at off.
type undo struct {
	size int64
	off  int64
	old  []byte
}

func newDir() *node { return &node{dir: map[string]*node{}, durable: map[string]*node{}} }

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newDir(), locks: map[string]int{}, budget: -1}
}

// split cleans a name of any system into its elements.
func split(name string) []string {
	clean := path.Clean("/" + filepath.ToSlash(name))
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// lookup finds a node, or nil.
func (m *Mem) lookup(name string) *node {
	n := m.root
	for _, element := range split(name) {
		if n == nil || n.dir == nil {
			return nil
		}
		n = n.dir[element]
	}
	return n
}

// parent finds the directory of a name and the name within it.
func (m *Mem) parent(name string) (*node, string) {
	elements := split(name)
	if len(elements) == 0 {
		return nil, ""
	}
	last := len(elements) - 1
	dir := m.lookup(strings.Join(elements[:last], "/"))
	if dir == nil || dir.dir == nil {
		return nil, ""
	}
	return dir, elements[last]
}

// mutate counts one change of the disk and says whether it still happens.
func (m *Mem) mutate() error {
	if m.crashed {
		return ErrCrashed
	}
	if m.budget == 0 {
		m.crashed = true
		return ErrCrashed
	}
	if m.budget > 0 {
		m.budget--
	}
	if m.film != nil {
		m.film.next(m)
	}
	m.mutations++
	return nil
}

// OpenFile opens or creates a file.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, pathError("open", name, ErrCrashed)
	}
	dir, base := m.parent(name)
	if dir == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	n := dir.dir[base]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n != nil && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case n != nil && n.dir != nil:
		return nil, pathError("open", name, errors.New("is a directory"))
	}
	if n == nil || flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		if err := m.mutate(); err != nil {
			return nil, pathError("open", name, err)
		}
	}
	if n == nil {
		n = &node{mode: perm, changed: time.Now()}
		dir.dir[base] = n
	}
	if flag&os.O_TRUNC != 0 {
		n.truncate(0)
	}
	return &memFile{fs: m, node: n, name: name, generation: m.generation}, nil
}

// Rename moves an entry, replacing what is there.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, fromBase := m.parent(oldname)
	to, toBase := m.parent(newname)
	if from == nil || to == nil || from.dir[fromBase] == nil {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	if err := m.mutate(); err != nil {
		return pathError("rename", oldname, err)
	}
	to.dir[toBase] = from.dir[fromBase]
	if from != to || fromBase != toBase {
		delete(from.dir, fromBase)
	}
	return nil
}

// Remove deletes a file or an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil || dir.dir[base] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if len(dir.dir[base].dir) > 0 {
		return pathError("remove", name, errors.New("directory not empty"))
	}
	if err := m.mutate(); err != nil {
		return pathError("remove", name, err)
	}
	delete(dir.dir, base)
	return nil
}

// RemoveAll deletes a tree; a missing one is no error.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil || dir.dir[base] == nil {
		return nil
	}
	if err := m.mutate(); err != nil {
		return pathError("remove", name, err)
	}
	delete(dir.dir, base)
	return nil
}

// Mkdir makes a directory in one that is there.
func (m *Mem) Mkdir(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	switch {
	case dir == nil:
		return pathError("mkdir", name, fs.ErrNotExist)
	case dir.dir[base] != nil:
		return pathError("mkdir", name, fs.ErrExist)
	}
	if err := m.mutate(); err != nil {
		return pathError("mkdir", name, err)
	}
	dir.dir[base] = newDir()
	dir.dir[base].mode = perm
	return nil
}

// MkdirAll makes a directory and its parents.
func (m *Mem) MkdirAll(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, element := range split(name) {
		next := n.dir[element]
		if next == nil {
			if err := m.mutate(); err != nil {
				return pathError("mkdir", name, err)
			}
			next = newDir()
			next.mode = perm
			n.dir[element] = next
		}
		if next.dir == nil {
			return pathError("mkdir", name, errors.New("not a directory"))
		}
		n = next
	}
	return nil
}

// ReadDir lists a directory by name.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(name)
	if m.crashed {
		return nil, pathError("readdir", name, ErrCrashed)
	}
	if n == nil || n.dir == nil {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	entries := make([]fs.DirEntry, 0, len(n.dir))
	for base, child := range n.dir {
		entries = append(entries, fs.FileInfoToDirEntry(child.info(base)))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat describes an entry.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(name)
	if m.crashed {
		return nil, pathError("stat", name, ErrCrashed)
	}
	if n == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return n.info(path.Base(filepath.ToSlash(name))), nil
}

// SyncDir makes the entries of one directory durable.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(name)
	if n == nil || n.dir == nil {
		return pathError("sync", name, fs.ErrNotExist)
	}
	if err := m.mutate(); err != nil {
		return pathError("sync", name, err)
	}
	n.durable = make(map[string]*node, len(n.dir))
	for base, child := range n.dir {
		n.durable[base] = child
	}
	return nil
}

// Lock takes a lock that Close or a crash releases.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.Join(split(name), "/")
	if m.crashed {
		return nil, pathError("lock", name, ErrCrashed)
	}
	if held, ok := m.locks[key]; ok && held == m.generation {
		return nil, pathError("lock", name, ErrLocked)
	}
	m.locks[key] = m.generation
	return &memLock{m, key, m.generation}, nil
}

type memLock struct {
	fs         *Mem
	key        string
	generation int
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if held, ok := l.fs.locks[l.key]; ok && held == l.generation {
		delete(l.fs.locks, l.key)
	}
	return nil
}

type memInfo struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (n *node) info(name string) memInfo {
	info := memInfo{name, int64(len(n.data)), n.mode.Perm(), n.changed}
	if n.dir != nil {
		info.mode |= fs.ModeDir
	}
	return info
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.time }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
