package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/oncelog/oncelog/log/vfs"
)

// The slot file. docs/format/slots.md has the byte boxes.
const (
	slotFileName  = "raft.slots"
	slotMagic     = "OLSL"
	slotVersion   = 1
	slotHeader    = 256            // bytes before the first slot
	slotCopy      = 128            // bytes of one copy
	slotSize      = 2 * slotCopy   // a slot is two copies, written in turn
	slotGrow      = 256 * slotSize // the file grows by this, filled with zeros
	maxCandidate  = 64             // bytes of a candidate's name
	slotChecksum  = slotCopy - 4
	slotCandidate = 56
	slotForgot    = 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A ballot is what one group must never forget: its term, its vote, which
// generation of the group its log is of, and that it may have forgotten the rest.
type ballot struct {
	term       uint64
	voteTerm   uint64
	candidate  string
	generation uint32 // of the replica's log, see Recovery
	forgot     bool   // the log may lack what was answered, see forgetful.go
}

// slots keeps the ballots of all groups of a node in one preallocated file.
//
// A write goes to the one of a slot's two copies that was not promised last, so a torn write loses only
// what was never promised. Writes are in place: a full disk cannot fail them.
// Groups that write at the same time share one sync.
type slots struct {
	file vfs.File

	mu   sync.Mutex
	at   map[PartitionID]*slot
	free []*slot
	used int64 // slots handed out or free

	growing chan struct{} // holds one token: the right to grow and to see count
	count   int64         // slots the file has room for

	sync *vfs.SharedSync
	life life // of this process
}

// A slot is one group's place in the file. Its owner is the only writer.
type slot struct {
	number int64
	seq    uint64 // of the last attempt to write
	copy   int    // which copy holds value, which was promised; writes go to the other
	id     PartitionID
	value  ballot
}

// openSlots opens or creates the slot file of dir. synced says that from now on
// nothing is answered that a power cut could take.
func openSlots(fsys vfs.FS, dir string, synced bool) (*slots, error) {
	name := filepath.Join(dir, slotFileName)
	file, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open slot file: %w", err)
	}
	s := &slots{file: file, at: make(map[PartitionID]*slot), growing: make(chan struct{}, 1), sync: vfs.NewSharedSync(file.Sync)}
	s.life = life{state: running, synced: synced, boot: fsys.Boot()}
	if err := s.load(fsys, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("slot file %s: %w", name, err), file.Close())
	}
	return s, nil
}

func (s *slots) load(fsys vfs.FS, dir string) error {
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	if size < slotHeader {
		return s.create(fsys, dir)
	}
	buf := make([]byte, size)
	if _, err := s.file.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(buf[:4]) != slotMagic {
		return errors.New("not a slot file")
	}
	if v := binary.BigEndian.Uint32(buf[4:]); v != slotVersion {
		return fmt.Errorf("format version %d, this build knows %d", v, slotVersion)
	}
	s.count = (size - slotHeader) / slotSize
	for n := range s.count {
		pair := buf[slotHeader+n*slotSize:][:slotSize]
		found, ok := newest(pair)
		if !ok {
			continue // never written, or torn before its first promise
		}
		found.number = n
		s.used = max(s.used, n+1)
		if found.id == (PartitionID{}) {
			s.free = append(s.free, found)
			continue
		}
		s.at[found.id] = found
	}
	s.reclaim()
	if before, ok := lifeOf(buf); !ok || before.lost(s.life.boot) {
		if err := s.doubt(buf); err != nil {
			return err
		}
	}
	s.life.put(buf)
	return s.renew(buf)
}

// doubt marks all groups as forgetful, before the file says that this process runs.
func (s *slots) doubt(content []byte) error {
	for _, v := range s.at {
		v.value.forgot = true
		v.seq++
		v.copy = 1 - v.copy
		copy(content[v.at(v.copy):], v.encode())
	}
	if err := s.renew(content); err != nil {
		return err
	}
	for _, v := range s.at {
		copy(content[v.at(1-v.copy):], v.encode())
	}
	return nil
}

// at is where a copy of the slot lies in the file.
func (v *slot) at(copied int) int64 {
	return slotHeader + v.number*slotSize + int64(copied)*slotCopy
}

// renew writes the file as it was read and syncs it: a sync that failed before
// may have left in the page cache what is not on the disk.
func (s *slots) renew(content []byte) error {
	if _, err := s.file.WriteAt(content, 0); err != nil {
		return err
	}
	return s.file.Sync()
}

// reclaim frees the numbers below used that hold no valid copy.
func (s *slots) reclaim() {
	known := make(map[int64]bool, s.used)
	for _, v := range s.at {
		known[v.number] = true
	}
	for _, v := range s.free {
		known[v.number] = true
	}
	for n := range s.used {
		if !known[n] {
			s.free = append(s.free, &slot{number: n})
		}
	}
}

func (s *slots) create(fsys vfs.FS, dir string) error {
	head := make([]byte, slotHeader+slotGrow)
	copy(head, slotMagic)
	binary.BigEndian.PutUint32(head[4:], slotVersion)
	s.life.put(head)
	if _, err := s.file.WriteAt(head, 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.count = slotGrow / slotSize
	return fsys.SyncDir(dir)
}

// newest decodes the valid copy with the higher sequence number.
func newest(pair []byte) (*slot, bool) {
	var best *slot
	for i := range 2 {
		c := pair[i*slotCopy:][:slotCopy]
		if crc32.Checksum(c[:slotChecksum], castagnoli) != binary.BigEndian.Uint32(c[slotChecksum:]) {
			continue
		}
		seq := binary.BigEndian.Uint64(c)
		n := int(c[52])
		if seq == 0 || n > maxCandidate || best != nil && best.seq >= seq {
			continue
		}
		v := &slot{seq: seq, copy: i, value: ballot{
			term:      binary.BigEndian.Uint64(c[8:]),
			voteTerm:  binary.BigEndian.Uint64(c[16:]),
			candidate: string(c[slotCandidate : slotCandidate+n]), generation: binary.BigEndian.Uint32(c[44:]),
			forgot: c[slotForgot] != 0,
		}}
		copy(v.id.TopicID[:], c[24:40])
		v.id.Partition = int32(binary.BigEndian.Uint32(c[40:]))
		best = v
	}
	return best, best != nil
}

func (v *slot) encode() []byte {
	c := make([]byte, slotCopy)
	binary.BigEndian.PutUint64(c, v.seq)
	binary.BigEndian.PutUint64(c[8:], v.value.term)
	binary.BigEndian.PutUint64(c[16:], v.value.voteTerm)
	copy(c[24:40], v.id.TopicID[:])
	binary.BigEndian.PutUint32(c[40:], uint32(v.id.Partition))
	binary.BigEndian.PutUint32(c[44:], v.value.generation)
	if v.value.forgot {
		c[slotForgot] = 1
	}
	c[52] = byte(len(v.value.candidate))
	copy(c[slotCandidate:], v.value.candidate)
	binary.BigEndian.PutUint32(c[slotChecksum:], crc32.Checksum(c[:slotChecksum], castagnoli))
	return c
}

// claim returns the slot of a group, taking a new one for a group not seen
// before. Nothing is promised until the first put.
func (s *slots) claim(id PartitionID) (*slot, error) {
	v := s.take(id)
	if err := s.grow(v.number); err != nil {
		s.mu.Lock()
		delete(s.at, id)
		s.free = append(s.free, v)
		s.mu.Unlock()
		return nil, err
	}
	return v, nil
}

func (s *slots) take(id PartitionID) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.at[id]; ok {
		return v
	}
	if n := len(s.free); n > 0 {
		v := s.free[n-1]
		s.free = s.free[:n-1]
		v.id, v.value = id, ballot{}
		s.at[id] = v
		return v
	}
	v := &slot{number: s.used, id: id}
	s.used++
	s.at[id] = v
	return v
}

// grow fills the file with zeros up to and beyond slot n, so that later writes
// are in place.
func (s *slots) grow(n int64) error {
	s.growing <- struct{}{}
	defer func() { <-s.growing }()
	for n >= s.count {
		if _, err := s.file.WriteAt(make([]byte, slotGrow), slotHeader+s.count*slotSize); err != nil {
			return fmt.Errorf("grow slot file: %w", err)
		}
		s.count += slotGrow / slotSize
	}
	return nil
}

// put makes a ballot durable. Only the owner of v calls it, one call at a time.
// After an error the promised copy still stands: the next call writes the other
// one again. A failed attempt uses up its sequence number, so what it may have
// left does not pass for a later one.
func (s *slots) put(v *slot, b ballot) error {
	if len(b.candidate) > maxCandidate {
		return fmt.Errorf("candidate name has %d bytes, at most %d fit a slot", len(b.candidate), maxCandidate)
	}
	v.seq++
	next := slot{number: v.number, seq: v.seq, copy: 1 - v.copy, id: v.id, value: b}
	if _, err := s.file.WriteAt(next.encode(), next.at(next.copy)); err != nil {
		return fmt.Errorf("write slot %d: %w", v.number, err)
	}
	if err := s.sync.Do(); err != nil {
		return fmt.Errorf("sync slot file: %w", err)
	}
	v.copy, v.value = next.copy, b
	return s.mirror(&next)
}

// mirror writes a promised ballot to the other copy as well, so that a byte that
// changes on the disk later does not bring an older ballot back. It is lasting
// with the next sync; until then the promised copy stands alone.
func (s *slots) mirror(v *slot) error {
	if _, err := s.file.WriteAt(v.encode(), v.at(1-v.copy)); err != nil {
		return fmt.Errorf("write slot %d again: %w", v.number, err)
	}
	return nil
}

// release gives the slot of a deleted group back. The group must be closed.
func (s *slots) release(id PartitionID) error {
	s.mu.Lock()
	v, ok := s.at[id]
	delete(s.at, id)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	v.id = PartitionID{}
	if v.seq > 0 {
		if err := s.put(v, ballot{}); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.free = append(s.free, v)
	s.mu.Unlock()
	return nil
}

// close ends the use of the file. clean says that all logs are on the disk.
func (s *slots) close(clean bool) error {
	s.mu.Lock()
	clear(s.at)
	s.free = slices.Clip(s.free[:0])
	s.mu.Unlock()
	err := s.file.Sync()
	if clean && err == nil {
		s.life.state = stopped
		head := make([]byte, slotHeader)
		s.life.put(head)
		if _, err = s.file.WriteAt(head[lifeAt:lifeEnd], lifeAt); err == nil {
			err = s.file.Sync()
		}
	}
	return errors.Join(err, s.file.Close())
}
