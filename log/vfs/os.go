package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked says that another process, or another part of this one, holds the lock file.
var ErrLocked = errors.New("vfs: locked by another process")

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(oldname, newname string) error {
	return patient(func() error { return os.Rename(oldname, newname) })
}
func (osFS) Remove(name string) error                     { return patient(func() error { return os.Remove(name) }) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) Mkdir(name string, perm fs.FileMode) error    { return os.Mkdir(name, perm) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) SyncDir(name string) error                    { return syncDir(name) }
func (osFS) Boot() string                                 { return bootID() }

// patient repeats an operation that Windows refuses while a virus scanner or an
// indexer has the file open; elsewhere it runs once.
func patient(operation func() error) error {
	err := operation()
	for wait := time.Millisecond; err != nil && sharingViolation(err) && wait < 100*time.Millisecond; wait *= 2 {
		time.Sleep(wait)
		err = operation()
	}
	return err
}

// Lock opens name and locks it for this process; the system releases it when
// the process ends, however it ends.
func (osFS) Lock(name string) (io.Closer, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return f, nil
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Preallocate(off, n int64) error { return preallocate(f.File, off, n) }
