package vfs

import "golang.org/x/sys/unix"

// bootID is the kernel's own name for its run.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
