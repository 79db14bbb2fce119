//go:build unix

package conformance

import (
	"os"
	"os/exec"
	"syscall"
)

// group gives a command a process group of its own, so that what a shell
// started ends with it, and a file that all of them hold while they live.
func group(cmd *exec.Cmd, held *os.File) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = []*os.File{held}
}

// terminate asks all processes of a command to end; one that is gone is no error.
func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// kill ends all processes of a command; one that is gone is no error.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
