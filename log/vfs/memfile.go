package vfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs         *Mem
	node       *node
	name       string
	generation int
	closed     bool
}

// enter locks the file system and says whether the file can be used.
func (f *memFile) enter(op string) error {
	f.fs.mu.Lock()
	switch {
	case f.closed:
		return pathError(op, f.name, fs.ErrClosed)
	case f.fs.crashed || f.generation != f.fs.generation:
		return pathError(op, f.name, ErrCrashed)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	defer f.fs.mu.Unlock()
	if err := f.enter("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, errors.New("negative offset"))
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	defer f.fs.mu.Unlock()
	if err := f.enter("write"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, errors.New("negative offset"))
	}
	if f.fs.film != nil {
		f.fs.film.half = &halfWrite{f.node, p, off}
	}
	if err := f.fs.mutate(); err != nil {
		if f.fs.torn != nil && len(p) > 0 {
			f.node.write(p[:f.fs.torn.cut(len(p))], off)
			f.fs.torn = nil
		}
		return 0, pathError("write", f.name, err)
	}
	f.node.write(p, off)
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	defer f.fs.mu.Unlock()
	if err := f.enter("truncate"); err != nil {
		return err
	}
	if err := f.fs.mutate(); err != nil {
		return pathError("truncate", f.name, err)
	}
	f.node.truncate(size)
	return nil
}

func (f *memFile) Sync() error {
	defer f.fs.mu.Unlock()
	if err := f.enter("sync"); err != nil {
		return err
	}
	if err := f.fs.mutate(); err != nil {
		return pathError("sync", f.name, err)
	}
	f.node.undo = nil
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

func (f *memFile) Size() (int64, error) {
	defer f.fs.mu.Unlock()
	if err := f.enter("stat"); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

// Preallocate does nothing: memory is not reserved ahead.
func (f *memFile) Preallocate(int64, int64) error { return nil }

func (f *memFile) Name() string { return f.name }

// write changes bytes and notes how to take that back.
func (n *node) write(p []byte, off int64) {
	size := int64(len(n.data))
	overwritten := max(0, min(size-off, int64(len(p))))
	// An append behind an append needs no note of its own.
	last := len(n.undo) - 1
	if overwritten > 0 || last < 0 || len(n.undo[last].old) > 0 || n.undo[last].size > size {
		note := undo{size: size, off: off}
		if overwritten > 0 {
			note.old = append([]byte(nil), n.data[off:off+overwritten]...)
		}
		n.undo = append(n.undo, note)
	}
	if end := off + int64(len(p)); end > size {
		n.grow(end)
	}
	copy(n.data[off:], p)
	n.changed = time.Now()
}

// truncate sets the size; new bytes are zero.
func (n *node) truncate(size int64) {
	old := int64(len(n.data))
	note := undo{size: old, off: size}
	if size < old {
		note.old = append([]byte(nil), n.data[size:]...)
	}
	n.undo = append(n.undo, note)
	if size < old {
		n.data = n.data[:size]
	} else {
		n.grow(size)
	}
	n.changed = time.Now()
}

func (n *node) grow(size int64) {
	old := len(n.data)
	if size > int64(cap(n.data)) {
		n.data = append(n.data, make([]byte, size-int64(old))...)
		return
	}
	n.data = n.data[:size]
	clear(n.data[old:])
}
