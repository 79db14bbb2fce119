package vfs

import (
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
)

// An Op names what a fault rule applies to.
type Op string

// The operations that rules know.
const (
	OpOpen        Op = "open"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpSync        Op = "sync"
	OpTruncate    Op = "truncate"
	OpPreallocate Op = "preallocate"
	OpRename      Op = "rename"
	OpRemove      Op = "remove"
	OpMkdir       Op = "mkdir"
	OpReadDir     Op = "readdir"
	OpStat        Op = "stat"
	OpSyncDir     Op = "syncdir"
)

// Errors for rules, as a Unix system reports them.
var (
	EIO    error = syscall.EIO
	ENOSPC error = syscall.ENOSPC
)

// A Rule makes operations fail.
type Rule struct {
	Op      Op     // "": every operation
	Pattern string // of the base name, as filepath.Match; "": every name
	After   int    // so many matching operations succeed first
	Times   int    // so many fail then; 0: all
	Error   error  // what they answer
	Short   int    // a failing write stores this many bytes first
}

// An Err is a file system that fails by rule. Rules may change while it is used.
type Err struct {
	fs    FS
	mu    sync.Mutex
	rules []*activeRule
}

type activeRule struct {
	Rule
	seen int
}

// NewErr wraps fs; the first rule that fires decides.
func NewErr(fs FS, rules ...Rule) *Err {
	e := &Err{fs: fs}
	e.SetRules(rules...)
	return e
}

// SetRules replaces the rules and their counts.
func (e *Err) SetRules(rules ...Rule) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = nil
	for _, rule := range rules {
		e.rules = append(e.rules, &activeRule{Rule: rule})
	}
}

// fault says whether an operation fails.
func (e *Err) fault(op Op, name string) (*Rule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, rule := range e.rules {
		if rule.Op != "" && rule.Op != op {
			continue
		}
		if rule.Pattern != "" {
			if ok, err := filepath.Match(rule.Pattern, filepath.Base(name)); err != nil || !ok {
				continue
			}
		}
		rule.seen++
		if rule.seen > rule.After && (rule.Times == 0 || rule.seen <= rule.After+rule.Times) {
			return &rule.Rule, &fs.PathError{Op: string(op), Path: name, Err: rule.Error}
		}
	}
	return nil, nil
}

func (e *Err) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if _, err := e.fault(OpOpen, name); err != nil {
		return nil, err
	}
	f, err := e.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &errFile{f, e}, nil
}

func (e *Err) Rename(oldname, newname string) error {
	if _, err := e.fault(OpRename, oldname); err != nil {
		return err
	}
	return e.fs.Rename(oldname, newname)
}

func (e *Err) Remove(name string) error {
	if _, err := e.fault(OpRemove, name); err != nil {
		return err
	}
	return e.fs.Remove(name)
}

func (e *Err) RemoveAll(name string) error {
	if _, err := e.fault(OpRemove, name); err != nil {
		return err
	}
	return e.fs.RemoveAll(name)
}

func (e *Err) Mkdir(name string, perm fs.FileMode) error {
	if _, err := e.fault(OpMkdir, name); err != nil {
		return err
	}
	return e.fs.Mkdir(name, perm)
}

func (e *Err) MkdirAll(name string, perm fs.FileMode) error {
	if _, err := e.fault(OpMkdir, name); err != nil {
		return err
	}
	return e.fs.MkdirAll(name, perm)
}

func (e *Err) ReadDir(name string) ([]fs.DirEntry, error) {
	if _, err := e.fault(OpReadDir, name); err != nil {
		return nil, err
	}
	return e.fs.ReadDir(name)
}

func (e *Err) Stat(name string) (fs.FileInfo, error) {
	if _, err := e.fault(OpStat, name); err != nil {
		return nil, err
	}
	return e.fs.Stat(name)
}

func (e *Err) SyncDir(name string) error {
	if _, err := e.fault(OpSyncDir, name); err != nil {
		return err
	}
	return e.fs.SyncDir(name)
}

// Boot is the wrapped file system's.
func (e *Err) Boot() string { return e.fs.Boot() }

// Lock is never made to fail.
func (e *Err) Lock(name string) (io.Closer, error) { return e.fs.Lock(name) }

type errFile struct {
	File
	fs *Err
}

func (f *errFile) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.fs.fault(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *errFile) WriteAt(p []byte, off int64) (int, error) {
	rule, err := f.fs.fault(OpWrite, f.Name())
	if err == nil {
		return f.File.WriteAt(p, off)
	}
	if short := min(rule.Short, len(p)); short > 0 {
		n, writeErr := f.File.WriteAt(p[:short], off)
		if writeErr != nil {
			return n, writeErr
		}
		return n, err
	}
	return 0, err
}

func (f *errFile) Sync() error {
	if _, err := f.fs.fault(OpSync, f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *errFile) Truncate(size int64) error {
	if _, err := f.fs.fault(OpTruncate, f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *errFile) Preallocate(off, n int64) error {
	if _, err := f.fs.fault(OpPreallocate, f.Name()); err != nil {
		return err
	}
	return f.File.Preallocate(off, n)
}
