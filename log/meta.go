package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oncelog/oncelog/log/vfs"
)

// meta is the content of the meta file: the only truth for where the raft part
// begins and which files are the clean prefix (hard-22, hard-33). It is
// replaced by one rename, so a change of it is wholly there or not at all.
type meta struct {
	boundary   Boundary
	start      int64
	generation uint32 // of the clean prefix's directory, 0: no clean prefix
	clean      []cleanFile
	epochs     epochs // up to the boundary; those behind it follow from rows
	// install, when present, is a snapshot not yet taken over: every segment
	// that is found belongs to the log it replaces.
	install *install
}

type install struct {
	producers []byte
	epochs    epochs
}

// cleanFile is a segment of the clean prefix.
type cleanFile struct{ base, next, size, maxTimestamp, maxOffset int64 }

const (
	metaMagic   = "olmt"
	metaVersion = 1
)

func (m meta) encode() []byte {
	be := binary.BigEndian
	b := append([]byte(metaMagic), 0, 0, 0, metaVersion)
	for _, v := range []uint64{m.boundary.Index, m.boundary.Term, uint64(m.boundary.NextOffset), m.boundary.ConfigurationIndex, uint64(m.start)} {
		b = be.AppendUint64(b, v)
	}
	b = be.AppendUint32(b, m.generation)
	b = be.AppendUint32(b, uint32(len(m.boundary.Configuration)))
	b = append(b, m.boundary.Configuration...)
	b = be.AppendUint32(b, uint32(len(m.clean)))
	for _, c := range m.clean {
		for _, v := range []int64{c.base, c.next, c.size, c.maxTimestamp, c.maxOffset} {
			b = be.AppendUint64(b, uint64(v))
		}
	}
	b = appendEpochs(b, m.epochs)
	if m.install == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = be.AppendUint32(b, uint32(len(m.install.producers)))
		b = append(b, m.install.producers...)
		b = appendEpochs(b, m.install.epochs)
	}
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeMeta reads a meta file.
//
// Errors: ErrNewerFormat, ErrCorrupt.
func decodeMeta(b []byte) (m meta, err error) {
	if len(b) < 12 || string(b[:4]) != metaMagic {
		return m, fmt.Errorf("meta of %d bytes, want %q and more: %w", len(b), metaMagic, ErrCorrupt)
	}
	if version := binary.BigEndian.Uint32(b[4:]); version != metaVersion {
		return m, fmt.Errorf("meta version %d, this program knows %d: %w", version, metaVersion, ErrNewerFormat)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return m, fmt.Errorf("meta checksum %08x, want %08x: %w", crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(b[len(body):]), ErrCorrupt)
	}
	d := decoder{b: body[8:]}
	m.boundary = Boundary{Index: d.uint64(), Term: d.uint64(), NextOffset: d.int64(), ConfigurationIndex: d.uint64()}
	m.start, m.generation = d.int64(), d.uint32()
	m.boundary.Configuration = d.bytes()
	for range d.count(40) {
		m.clean = append(m.clean, cleanFile{d.int64(), d.int64(), d.int64(), d.int64(), d.int64()})
	}
	m.epochs = d.epochs()
	switch d.byte() {
	case 0:
	case 1:
		m.install = &install{producers: d.bytes(), epochs: d.epochs()}
	default:
		d.failed = true
	}
	if d.failed || len(d.b) > 0 || m.start < 0 || m.boundary.NextOffset < 0 {
		return meta{}, fmt.Errorf("meta of %d bytes: %w", len(b), ErrCorrupt)
	}
	return m, nil
}

// A decoder takes big-endian values off the front of b; after the first that is
// not there everything is zero and failed is set.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if d.failed || n < 0 || n > len(d.b) {
		d.failed = true
		return make([]byte, min(max(n, 0), 8))
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte     { return d.take(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }
func (d *decoder) int32() int32   { return int32(d.uint32()) }
func (d *decoder) int64() int64   { return int64(d.uint64()) }

// count reads a number of elements, each of at least size bytes.
func (d *decoder) count(size int) int {
	n := int(d.int32())
	if n < 0 || n > len(d.b)/size {
		d.failed = true
		return 0
	}
	return n
}

// bytes reads a length and so many bytes, copied; nil for none.
func (d *decoder) bytes() []byte { return append([]byte(nil), d.take(d.count(1))...) }

// replaceFile makes name hold b, wholly or not at all, and lasting.
func replaceFile(fsys vfs.FS, name string, b []byte) error {
	if err := writeFile(fsys, name+tempSuffix, b, true); err != nil {
		return err
	}
	if err := fsys.Rename(name+tempSuffix, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// writeFile makes a new file with b; sync makes its bytes, not its name, last.
func writeFile(fsys vfs.FS, name string, b []byte, sync bool) (err error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if sync {
		return f.Sync()
	}
	return nil
}

// readFile reads a whole file; a missing one is empty, with found false.
func readFile(fsys vfs.FS, name string) (b []byte, found bool, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, false, err
	}
	b = make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	return b, true, nil
}
