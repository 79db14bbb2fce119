//go:build !linux && !darwin

package vfs

// bootID is not known: nothing here names the run of the system.
func bootID() string { return "" }
