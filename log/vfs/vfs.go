// Package vfs is the only door to the disk: a file system as an interface, the
// operating system's own (OS), one in memory that can lose what was not synced
// (Mem), and one that fails by rule (Err).
//
// It knows files and directories; it knows nothing of logs.
package vfs

import (
	"io"
	"io/fs"
)

// An FS is a file system. Names are paths as package path/filepath makes them.
// Its methods may be called in parallel. Errors are those of package os, so
// errors.Is(err, fs.ErrNotExist) works.
type FS interface {
	// OpenFile takes os.O_RDONLY, O_RDWR, O_CREATE, O_EXCL and O_TRUNC.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces newname if it exists. It lasts once SyncDir was called.
	Rename(oldname, newname string) error
	Remove(name string) error
	RemoveAll(name string) error
	// Mkdir makes a directory that is not there yet: fs.ErrExist says that it was.
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes created, renamed and removed entries of a directory last.
	SyncDir(name string) error
	// Lock takes an exclusive lock file; it fails at once when another holds it.
	Lock(name string) (io.Closer, error)
	// Boot names what keeps the bytes that were written and not synced: as long as
	// it stays the same they are there, whatever became of the process. "": unknown.
	Boot() string
}

// A File is an open file. ReadAt and WriteAt may be called in parallel.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the bytes written so far, and the size, last.
	Sync() error
	Size() (int64, error)
	// Preallocate reserves n bytes from off without changing the size; a file
	// system that cannot do it does nothing and says nil.
	Preallocate(off, n int64) error
	Name() string
}
