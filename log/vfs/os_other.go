//go:build !linux

package vfs

import "os"

func datasync(f *os.File) error { return f.Sync() }

// preallocate does nothing: only Linux can reserve space without changing the size in one call.
func preallocate(*os.File, int64, int64) error { return nil }
