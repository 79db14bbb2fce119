package vfs

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowSyncs takes a second for each SyncDir and counts them.
type slowSyncs struct {
	FS
	count atomic.Int32
	fail  error
}

func (s *slowSyncs) SyncDir(string) error {
	s.count.Add(1)
	time.Sleep(time.Second)
	return s.fail
}

func TestDirSyncIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowSyncs{FS: NewMem()}
		shared := ShareDirSync(slow, "data")
		began := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				called := time.Now()
				if err := shared.SyncDir("data"); err != nil {
					t.Error(err)
				}
				// A sync under way when it was asked does not count.
				if took := time.Since(called); took < time.Second {
					t.Errorf("call %d was answered after %v, by a sync that began before it", i, took)
				}
			})
		}
		all.Wait()
		if n := slow.count.Load(); n != 2 || time.Since(began) != 2*time.Second {
			t.Errorf("100 calls took %d syncs and %v, want 2 and 2s", n, time.Since(began))
		}
		slow.fail = errors.New("disk")
		var failed atomic.Int32
		for range 3 {
			all.Go(func() {
				if shared.SyncDir("data") != nil {
					failed.Add(1)
				}
			})
		}
		all.Wait()
		if failed.Load() != 3 {
			t.Errorf("a failed sync failed %d of 3 calls", failed.Load())
		}
	})
}
