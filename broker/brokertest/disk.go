package brokertest

import "github.com/oncelog/oncelog/log/vfs"

// A disk is a node's own: in memory, with faults before it.
type disk struct {
	memory *vfs.Mem
	faults *vfs.Err
}

func newDisk() *disk {
	memory := vfs.NewMem()
	return &disk{memory, vfs.NewErr(memory)}
}

// Faults is the disk of a node, which fails as its rules say.
func (c *Cluster) Faults(node int32) *vfs.Err { return c.disks[node-1].faults }

// Crash ends a broker in the middle of what it does: by vfs.Killed as SIGKILL
// would, by any other mode as a power cut, which takes what was not synced. A
// broker that is down loses its power only.
func (c *Cluster) Crash(node int32, mode vfs.CrashMode, seed uint64) {
	c.disks[node-1].memory.Crash(mode, seed)
	if c.Servers[node-1] != nil {
		_ = c.Kill(node) // its disk answers nothing but errors by now
	}
}

// Wipe gives a broker that is stopped an empty disk.
func (c *Cluster) Wipe(node int32) {
	c.disks[node-1] = newDisk()
	c.options[node-1].FS = c.disks[node-1].faults
}
