package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/oncelog/oncelog/log/vfs"
)

// Names within a partition's directory. Those of segments are Kafka's, with
// the segment's base offset in 20 digits before them.
const (
	formatFile = "format"
	metaFile   = "meta"
	epochFile  = "leader-epoch-checkpoint"
	flushFile  = "flushed"
	tempSuffix = ".tmp"
	cleanDir   = "clean-"  // and the generation in 8 digits: the clean prefix
	installDir = "install" // another replica's clean prefix on its way here

	logSuffix      = ".log"
	indexSuffix    = ".index"
	timeSuffix     = ".timeindex"
	txnSuffix      = ".txnindex"
	snapshotSuffix = ".snapshot"
	rowSuffix      = ".raft"
	payloadSuffix  = ".raftdata"
	sealSuffix     = ".seal"
	headSuffix     = ".heads" // of the clean prefix
)

const (
	filePerm fs.FileMode = 0o600
	dirPerm  fs.FileMode = 0o700
)

// segmentFiles are the paths of one segment, made once so that reads build no strings.
type segmentFiles struct {
	log, index, time, txn, rows, payload, seal, heads string
}

func filesOf(dir string, base int64) *segmentFiles {
	name := filepath.Join(dir, fmt.Sprintf("%020d", base))
	return &segmentFiles{
		log: name + logSuffix, index: name + indexSuffix, time: name + timeSuffix, txn: name + txnSuffix,
		rows: name + rowSuffix, payload: name + payloadSuffix, seal: name + sealSuffix, heads: name + headSuffix,
	}
}

// all lists the paths, the batches last: a segment without them is no segment.
func (f *segmentFiles) all() []string {
	return []string{f.seal, f.index, f.time, f.txn, f.rows, f.payload, f.heads, f.log}
}

func snapshotPath(dir string, offset int64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", offset)+snapshotSuffix)
}

// baseOf reads the base offset from a file name with the given suffix.
func baseOf(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	return base, err == nil && base >= 0
}

// maxOpenSealed bounds the files a log keeps open besides those in use.
const maxOpenSealed = 8

// handles shares open files between the writer and readers. A file in use is
// never closed; one that was discarded goes when its last user is done, so
// readers of old segments are safe.
//
// The mutex is never held over a disk operation.
type handles struct {
	fs     vfs.FS
	report func(error) // takes errors of closing what is no longer used
	mu     sync.Mutex
	files  map[string]*handle
	doomed map[string]*handle // still in use and to be removed afterwards (Windows)
	tick   uint64
	closed bool
}

type handle struct {
	vfs.File
	name  string
	users int
	used  uint64
	gone  bool // not in files: the last user closes it
}

func newHandles(fs vfs.FS, report func(error)) *handles {
	return &handles{fs: fs, report: report, files: make(map[string]*handle), doomed: make(map[string]*handle)}
}

// acquire opens a file for reading and writing, or shares it. release must follow.
func (h *handles) acquire(name string) (*handle, error) {
	shared, err := h.share(name)
	if shared != nil || err != nil {
		return shared, err
	}
	file, err := h.fs.OpenFile(name, os.O_RDWR, filePerm)
	if err != nil {
		return nil, err
	}
	return h.add(name, file, false), nil
}

// create makes an empty file, replacing what a crash may have left. A reader
// may still hold an older file of this name.
func (h *handles) create(name string) (*handle, error) {
	file, err := h.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	return h.add(name, file, true), nil
}

func (h *handles) share(name string) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	shared := h.files[name]
	if shared == nil {
		return nil, nil
	}
	h.tick++
	shared.users, shared.used = shared.users+1, h.tick
	return shared, nil
}

// add publishes an opened file. Unless it replaces, another goroutine may have
// been faster; then that one's file is shared.
func (h *handles) add(name string, file vfs.File, replace bool) *handle {
	h.mu.Lock()
	var surplus []vfs.File
	shared := h.files[name]
	switch {
	case shared != nil && !replace:
		surplus = append(surplus, file)
	default:
		if shared != nil {
			shared.gone = true
			if shared.users == 0 {
				surplus = append(surplus, shared.File)
			}
		}
		delete(h.doomed, name)
		shared = &handle{File: file, name: name, gone: h.closed}
		if !h.closed {
			h.files[name] = shared
		}
	}
	h.tick++
	shared.users, shared.used = shared.users+1, h.tick
	surplus = append(surplus, h.evict()...)
	h.mu.Unlock()
	h.report(closeAll(surplus))
	return shared
}

// evict takes the files out that are longest unused, down to the bound.
func (h *handles) evict() (out []vfs.File) {
	for {
		var oldest *handle
		idle := 0
		for _, f := range h.files {
			if f.users > 0 {
				continue
			}
			idle++
			if oldest == nil || f.used < oldest.used {
				oldest = f
			}
		}
		if idle <= maxOpenSealed {
			return out
		}
		delete(h.files, oldest.name)
		out = append(out, oldest.File)
	}
}

// release ends a use.
func (h *handles) release(f *handle) {
	h.mu.Lock()
	f.users--
	last := f.users == 0 && f.gone
	remove := last && h.doomed[f.name] == f
	if remove {
		delete(h.doomed, f.name)
	}
	h.mu.Unlock()
	if last {
		h.report(f.Close())
	}
	if remove {
		h.report(h.remove(f.name))
	}
}

// discard removes a file now, or where an open file cannot be removed, when
// its last user is done. A missing file is no error.
func (h *handles) discard(name string) error {
	h.mu.Lock()
	f := h.files[name]
	busy := false
	if f != nil {
		delete(h.files, name)
		f.gone, busy = true, f.users > 0
	}
	h.mu.Unlock()
	if f != nil && !busy {
		h.report(f.Close())
	}
	err := h.remove(name)
	if err == nil || !busy {
		return err
	}
	h.mu.Lock()
	late := f.users == 0
	if !late {
		h.doomed[name] = f
	}
	h.mu.Unlock()
	if late {
		return h.remove(name)
	}
	return nil
}

func (h *handles) remove(name string) error {
	if err := h.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// close closes what nobody uses; a file in use is closed by its last user.
func (h *handles) close() error {
	h.mu.Lock()
	var idle []vfs.File
	for _, f := range h.files {
		f.gone = true
		if f.users == 0 {
			idle = append(idle, f.File)
		}
	}
	clear(h.files)
	h.closed = true
	h.mu.Unlock()
	return closeAll(idle)
}

func closeAll(files []vfs.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
