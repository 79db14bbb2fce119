//go:build !unix

package conformance

import (
	"os"
	"os/exec"
)

// group does nothing: process groups are a thing of Unix.
func group(*exec.Cmd, *os.File) {}

// terminate ends a command at once; there is no way to ask.
func terminate(cmd *exec.Cmd) { kill(cmd) }

// kill ends a command; one that is gone is no error.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
