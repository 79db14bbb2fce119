package replication

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

func slotID(n int32) PartitionID { return PartitionID{TopicID: [16]byte{9}, Partition: n} }

func mustSlots(t *testing.T, disk vfs.FS) *slots {
	t.Helper()
	if err := errors.Join(disk.MkdirAll("data", 0o755), disk.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	s, err := openSlots(disk, "data", false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClaim(t *testing.T, s *slots, n int32) *slot {
	t.Helper()
	v, err := s.claim(slotID(n))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustPut(t *testing.T, s *slots, v *slot, b ballot) {
	t.Helper()
	if err := s.put(v, b); err != nil {
		t.Fatal(err)
	}
}

func TestSlotsKeepBallots(t *testing.T) {
	disk := vfs.NewMem()
	s := mustSlots(t, disk)
	const groups = 300 // more than the file's first size
	for n := range int32(groups) {
		v := mustClaim(t, s, n)
		for term := uint64(1); term <= 3; term++ {
			mustPut(t, s, v, ballot{term: term, voteTerm: term, candidate: fmt.Sprint(n)})
		}
	}
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	s = mustSlots(t, disk)
	for n := range int32(groups) {
		want := ballot{term: 3, voteTerm: 3, candidate: fmt.Sprint(n)}
		if got := mustClaim(t, s, n).value; got != want {
			t.Errorf("group %d: %+v, want %+v", n, got, want)
		}
	}
}

func TestSlotOfADeletedGroupIsUsedAgain(t *testing.T) {
	disk := vfs.NewMem()
	s := mustSlots(t, disk)
	first := mustClaim(t, s, 1)
	mustPut(t, s, first, ballot{term: 7})
	mustPut(t, s, mustClaim(t, s, 2), ballot{term: 8})
	if err := s.release(slotID(1)); err != nil {
		t.Fatal(err)
	}
	number := first.number
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	s = mustSlots(t, disk)
	v := mustClaim(t, s, 3)
	if v.number != number || v.value != (ballot{}) {
		t.Errorf("slot %d with %+v, want slot %d, empty", v.number, v.value, number)
	}
	mustPut(t, s, v, ballot{term: 1})
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	s = mustSlots(t, disk)
	for n, want := range map[int32]uint64{1: 0, 2: 8, 3: 1} {
		if got := mustClaim(t, s, n).value.term; got != want {
			t.Errorf("group %d: term %d, want %d", n, got, want)
		}
	}
}

// A crash at any change of the disk leaves the newest ballot that was
// promised, or the one that was being written.
func TestSlotsSurviveACrash(t *testing.T) {
	for _, mode := range []vfs.CrashMode{vfs.Lost, vfs.Partly, vfs.Torn} {
		for at := range 40 {
			disk := vfs.NewMem()
			s := mustSlots(t, disk)
			v := mustClaim(t, s, 1)
			mustPut(t, s, v, ballot{term: 1})
			disk.CrashAfter(at, uint64(at))
			promised := uint64(1)
			for term := uint64(2); term < 12; term++ {
				if err := s.put(v, ballot{term: term, voteTerm: term, candidate: "x"}); err != nil {
					break
				}
				promised = term
			}
			disk.Crash(mode, uint64(at))
			again := mustSlots(t, disk)
			if got := mustClaim(t, again, 1).value.term; got != promised && got != promised+1 {
				t.Errorf("mode %d, crash after %d changes: term %d, promised %d", mode, at, got, promised)
			}
		}
	}
}

// Found by the append fuzz: after a failed write the next one must not go over
// the copy that was promised.
func TestSlotsSurviveFailedWrites(t *testing.T) {
	for _, mode := range []vfs.CrashMode{vfs.Killed, vfs.Lost, vfs.Partly, vfs.Torn} {
		for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
			for failures := range 4 {
				mem := vfs.NewMem()
				disk := vfs.NewErr(mem)
				s := mustSlots(t, disk)
				v := mustClaim(t, s, 1)
				mustPut(t, s, v, ballot{term: 5})
				disk.SetRules(vfs.Rule{Op: op, Error: vfs.EIO, Short: 40})
				for n := range failures {
					if err := s.put(v, ballot{term: uint64(6 + n)}); err == nil {
						t.Fatal("the disk does not fail")
					}
				}
				disk.SetRules()
				mem.Crash(mode, uint64(failures))
				again := mustClaim(t, mustSlots(t, disk), 1)
				if again.value.term < 5 {
					t.Errorf("mode %d, %d failed %ss: term %d, promised 5", mode, failures, op, again.value.term)
				}
			}
		}
	}
}

func TestSlotsShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowSyncs{FS: vfs.NewMem()}
		s := mustSlots(t, disk)
		disk.syncs.Store(0)
		var writers sync.WaitGroup
		for n := range int32(64) {
			v := mustClaim(t, s, n)
			writers.Go(func() { mustPut(t, s, v, ballot{term: 1}) })
		}
		writers.Wait()
		if n := disk.syncs.Load(); n > 2 {
			t.Errorf("%d syncs for 64 ballots written at once, want 2 at most", n)
		}
	})
}

// slowSyncs is a disk whose syncs take a while, and are counted.
type slowSyncs struct {
	vfs.FS
	syncs atomic.Int64
}

func (s *slowSyncs) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	return slowFile{f, s}, err
}

type slowFile struct {
	vfs.File
	s *slowSyncs
}

func (f slowFile) Sync() error {
	f.s.syncs.Add(1)
	time.Sleep(time.Millisecond)
	return f.File.Sync()
}

// Promise 24 for the slot file: whatever byte changes, the newest promised ballot
// is read, or the file is refused; a file cut short has no older ballot.
func TestDamagedSlots(t *testing.T) {
	disk := vfs.NewMem()
	s := mustSlots(t, disk)
	for n := range int32(3) {
		v := mustClaim(t, s, n)
		for term := range uint64(n) + 3 {
			mustPut(t, s, v, ballot{term: term + 1, voteTerm: term + 1, candidate: "abcd"})
		}
	}
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	read, refused := 0, 0
	for at := range int64(slotHeader + 4*slotSize) {
		for _, cut := range []bool{false, true} {
			copied := disk.Clone()
			f, err := copied.OpenFile("data/"+slotFileName, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1)
			if _, err = f.ReadAt(b, at); err == nil && cut {
				err = f.Truncate(at)
			} else if err == nil {
				_, err = f.WriteAt([]byte{b[0] ^ 0x15}, at)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			again, err := openSlots(copied, "data", false)
			if err != nil {
				refused++
				continue
			}
			read++
			for n := range int32(3) {
				got, want := mustClaim(t, again, n).value, ballot{term: uint64(n) + 3, voteTerm: uint64(n) + 3, candidate: "abcd"}
				want.forgot = !cut && at >= lifeAt && at < lifeEnd // how the last life ended is not known
				if got != want && !(cut && got == ballot{}) {
					t.Errorf("byte %d, cut %v: ballot of %d is %+v, want %+v", at, cut, n, got, want)
				}
			}
		}
	}
	t.Logf("%d damages: %d recovered, %d reported", read+refused, read, refused)
}

// How a life ended decides what the next one may have forgotten, and that is stored
// before the next one says that it runs.
func TestLives(t *testing.T) {
	for _, c := range []struct {
		name   string
		synced bool // the first life
		clean  bool
		crash  vfs.CrashMode
		forgot bool
	}{
		{"killed", false, false, vfs.Killed, false},
		{"power cut", false, false, vfs.Lost, true},
		{"power cut, torn", false, false, vfs.Torn, true},
		{"power cut after a stop in order", false, true, vfs.Lost, false},
		{"power cut, all was synced", true, false, vfs.Lost, false},
		{"stopped", false, true, vfs.Killed, false},
	} {
		for changes := range 12 { // of the disk, until the second life is cut short by another power cut
			disk := vfs.NewMem()
			if err := errors.Join(disk.MkdirAll("data", 0o755), disk.SyncDir(".")); err != nil {
				t.Fatal(err)
			}
			s, err := openSlots(disk, "data", c.synced)
			if err != nil {
				t.Fatal(err)
			}
			for n := range int32(5) {
				mustPut(t, s, mustClaim(t, s, n), ballot{term: 7})
			}
			if c.clean {
				if err := s.close(true); err != nil {
					t.Fatal(err)
				}
			}
			disk.Crash(c.crash, 1)
			disk.CrashAfter(changes, 1)
			second, err := openSlots(disk, "data", false)
			if err == nil {
				_ = second.close(false) // the disk may be gone by now
			}
			disk.Crash(vfs.Killed, 2)
			again := mustSlots(t, disk)
			for n := range int32(5) {
				if got, want := mustClaim(t, again, n).value, (ballot{term: 7, forgot: c.forgot}); got != want {
					t.Errorf("%s, the second life ended after %d changes: ballot of %d is %+v, want %+v", c.name, changes, n, got, want)
				}
			}
		}
	}
}

// A slot file that was cut short takes a single voter no epoch back.
func TestTermFollowsTheLogOfAnOnlyVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		n := openNode(t, fs)
		p := openOne(t, n, 0)
		if _, err := p.Append(t.Context(), Append{Batch: plainBatch(2), Acks: -1}); err != nil {
			t.Fatal(err)
		}
		epoch, name := p.Leadership().Epoch, n.slots.file.Name()
		closeNode(t, n)
		f, err := fs.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(slotHeader), f.Close()); err != nil {
			t.Fatal(err)
		}
		n = openNode(t, fs)
		p = openOne(t, n, 0)
		if l := p.Leadership(); l.Leader != 1 || l.Epoch <= epoch || p.HighWatermark() != 2 {
			t.Errorf("leadership %+v after epoch %d, high watermark %d", l, epoch, p.HighWatermark())
		}
		closeNode(t, n)
	})
}
