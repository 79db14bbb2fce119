package vfs

import (
	"path/filepath"
	"sync"
	"sync/atomic"
)

// A SharedSync runs one sync for all that ask for it at the same time, as a
// database's group commit does.
type SharedSync struct {
	run  func() error
	turn chan struct{} // holds one token: the right to run

	mu      sync.Mutex
	waiting *syncRound // those whose sync has not begun; nil: nobody
}

// A syncRound is one run and those that wait for it.
type syncRound struct {
	done chan struct{}
	err  error // once done is closed
}

// NewSharedSync makes calls of run shared.
func NewSharedSync(run func() error) *SharedSync {
	return &SharedSync{run: run, turn: make(chan struct{}, 1)}
}

// Do returns when a run that began after the call has ended, with its error. The
// first to ask leads: by the time the turn is free others have joined, and one
// run serves them all.
func (s *SharedSync) Do() error {
	s.mu.Lock()
	round := s.waiting
	leads := round == nil
	if leads {
		round = &syncRound{done: make(chan struct{})}
		s.waiting = round
	}
	s.mu.Unlock()
	if !leads {
		<-round.done
		return round.err
	}
	s.turn <- struct{}{}
	s.mu.Lock()
	s.waiting = nil
	s.mu.Unlock()
	round.err = s.run()
	close(round.done)
	<-s.turn
	return round.err
}

// ShareDirSync is fsys on which calls of SyncDir for dir share their work: making
// a thousand folders in it at the same time costs some dozen syncs.
func ShareDirSync(fsys FS, dir string) FS {
	return &sharedDir{FS: fsys, dir: dir, sync: NewSharedSync(func() error { return fsys.SyncDir(dir) })}
}

type sharedDir struct {
	FS
	dir  string
	sync *SharedSync
}

func (s *sharedDir) SyncDir(name string) error {
	if name == s.dir {
		return s.sync.Do()
	}
	return s.FS.SyncDir(name)
}

// LastWithParent is fsys on which dir itself, in its parent, lasts with the first
// SyncDir of it: a directory that was made need not last before anything in it does.
func LastWithParent(fsys FS, dir string) FS { return &unsyncedDir{FS: fsys, dir: dir} }

type unsyncedDir struct {
	FS
	dir   string
	lasts atomic.Bool
}

func (u *unsyncedDir) SyncDir(name string) error {
	if name == u.dir && !u.lasts.Load() {
		if err := u.FS.SyncDir(filepath.Dir(name)); err != nil {
			return err
		}
		u.lasts.Store(true)
	}
	return u.FS.SyncDir(name)
}
