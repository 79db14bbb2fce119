package vfs

import (
	"os"
	"strings"
)

// bootID is the kernel's own name for its run; a container has its host's.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
