package log

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// A chain checks, batch by batch, what a batch's own checksum leaves out: its
// base offset and its leader epoch. In the raft part each batch begins where the
// one before ends, and the epochs are known; in the clean prefix, which has
// holes, the .heads file says both.
type chain struct {
	s      *segment
	epochs epochs
	base   int64 // of the next batch; -1: not known
	last   int64 // last offset of the next batch; -1: not known
	heads  *headFile
	number int64 // of the next batch in heads
}

// check takes the next batch, of which only the header need be there.
//
// Errors: ErrCorrupt.
func (c *chain) check(position int64, b record.Batch) error {
	if c.heads != nil {
		want, err := c.heads.at(c.number)
		if err != nil {
			return err
		}
		c.number++
		if got := headOf(c.s.base, position, b); got != want {
			return fmt.Errorf("%s at %d: batch %+v, want %+v: %w", c.s.files.log, position, got, want, ErrCorrupt)
		}
		return nil
	}
	if base, last := b.BaseOffset(), b.LastOffset(); c.base >= 0 && base != c.base || c.last >= 0 && last != c.last {
		return fmt.Errorf("%s at %d: batch with offsets %d to %d, want %d to %d (-1: any): %w", c.s.files.log, position, base, last, c.base, c.last, ErrCorrupt)
	}
	if want := c.epochs.at(b.LastOffset()); want >= 0 && want != b.LeaderEpoch() {
		return fmt.Errorf("%s at %d: leader epoch %d, want %d: %w", c.s.files.log, position, b.LeaderEpoch(), want, ErrCorrupt)
	}
	c.base, c.last = b.NextOffset(), -1
	return nil
}

// checkAll takes whole batches that stand one behind the other.
func (c *chain) checkAll(position int64, b []byte) error {
	for len(b) > 0 {
		batch := record.Batch(b)[:record.Batch(b).Size()]
		if err := c.check(position, batch); err != nil {
			return err
		}
		position, b = position+int64(len(batch)), b[len(batch):]
	}
	return nil
}

// A head is what the clean prefix knows of a batch besides the batch. Offsets
// are relative to the segment's base; what was written fits 32 bits, what is read
// from a damaged batch need not.
type head struct{ base, last, position, size, epoch int64 }

const headSize = 24 // bytes of a head and its checksum

func headOf(base, position int64, b record.Batch) head {
	return head{b.BaseOffset() - base, b.LastOffset() - base, position, int64(b.Size()), int64(b.LeaderEpoch())}
}

func (h head) append(b []byte) []byte {
	at := len(b)
	for _, v := range []int64{h.base, h.last, h.position, h.size, h.epoch} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return binary.BigEndian.AppendUint32(b, checksum(b[at:]))
}

// A headFile reads the heads of a segment of the clean prefix.
type headFile struct {
	file  vfs.File
	name  string
	count int64
	buf   [headSize * 16]byte
	first int64 // number of the first head in buf
	held  int64
}

var headFiles = sync.Pool{New: func() any { return new(headFile) }}

// at returns a head by its number.
//
// Errors: ErrCorrupt.
func (f *headFile) at(n int64) (head, error) {
	if n >= f.count {
		return head{}, fmt.Errorf("%s: batch %d, want at most %d: %w", f.name, n, f.count, ErrCorrupt)
	}
	if n < f.first || n >= f.first+f.held {
		want := min(int64(len(f.buf)), (f.count-n)*headSize)
		got, err := f.file.ReadAt(f.buf[:want], n*headSize)
		if int64(got) < want {
			return head{}, fmt.Errorf("%s: %d bytes at %d, want %d (%w): %w", f.name, got, n*headSize, want, err, ErrCorrupt)
		}
		f.first, f.held = n, want/headSize
	}
	b := f.buf[(n-f.first)*headSize:][:headSize]
	if got, want := checksum(b[:headSize-4]), binary.BigEndian.Uint32(b[headSize-4:]); got != want {
		return head{}, fmt.Errorf("%s at %d: checksum %08x, want %08x: %w", f.name, n*headSize, got, want, ErrCorrupt)
	}
	d := decoder{b: b}
	return head{int64(d.int32()), int64(d.int32()), int64(d.int32()), int64(d.int32()), int64(d.int32())}, nil
}

// find is the number of the first batch whose last offset is at least relative.
func (f *headFile) find(relative int64) (int64, error) {
	low, high := int64(0), f.count
	for low < high {
		middle := (low + high) / 2
		h, err := f.at(middle)
		if err != nil {
			return 0, err
		}
		if h.last < relative {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// chainFrom finds the first batch of a segment whose last offset is at least
// offset, s.size if there is none, and begins a chain there. done must follow.
//
// Errors: ErrCorrupt, those of the file system.
func (l *Log) chainFrom(v *view, s *segment, file vfs.File, offset int64) (c chain, position int64, err error) {
	c = chain{s: s, epochs: v.epochs, base: s.base, last: -1}
	if s.clean {
		position, err = l.chainClean(&c, offset)
		return c, position, err
	}
	if offset <= s.base {
		return c, 0, nil
	}
	if position, ok := s.hints.load(offset - s.base); ok && position <= s.size {
		c.base = offset
		return c, position, nil
	}
	scan := newScanner(file, s.size)
	defer scan.free()
	if position, c.last, err = l.floor(s, scan.buf, offset); err != nil {
		return c, 0, err
	}
	if c.last >= 0 {
		c.base = -1
	}
	for position < s.size {
		header, err := scan.header(position)
		if err != nil {
			return c, 0, fmt.Errorf("%s: %w", s.files.log, eofIsCorrupt(err))
		}
		if header.LastOffset() >= offset {
			break
		}
		if err := c.check(position, header); err != nil {
			return c, 0, err
		}
		position += int64(header.Size())
	}
	if position >= s.size && offset < s.next {
		return c, 0, fmt.Errorf("%s: no batch with offset %d up to position %d: %w", s.files.log, offset, s.size, ErrCorrupt)
	}
	return c, position, nil
}

// chainClean looks an offset up in the heads.
func (l *Log) chainClean(c *chain, offset int64) (position int64, err error) {
	file, err := l.handles.acquire(c.s.files.heads)
	if err != nil {
		return 0, err
	}
	f := headFiles.Get().(*headFile)
	f.file, f.name, f.count, f.held = file, c.s.files.heads, c.s.sums.heads.size/headSize, 0
	c.heads = f
	if c.number, err = f.find(offset - c.s.base); err != nil || c.number == f.count {
		return c.s.size, err
	}
	h, err := f.at(c.number)
	return h.position, err
}

// done gives back what the chain holds.
func (l *Log) done(c *chain) {
	if c.heads == nil {
		return
	}
	l.handles.release(c.heads.file.(*handle))
	c.heads.file = nil
	headFiles.Put(c.heads)
	c.heads = nil
}

// eofIsCorrupt says of a file that ends too early that it is damaged.
func eofIsCorrupt(err error) error {
	if ignoreEOF(err) == nil && err != nil {
		return fmt.Errorf("the file ends too early (%w): %w", io.ErrUnexpectedEOF, ErrCorrupt)
	}
	return err
}
