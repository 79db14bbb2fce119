package replication

import (
	"encoding/binary"
	"hash/crc32"
)

// A life is one run of a node, as the header of its slot file tells it: the next
// run learns from it whether bytes that were written and not synced may be gone.
type life struct {
	state  byte
	synced bool   // whatever it answered was synced before (fsync=always)
	boot   string // vfs.FS.Boot, at most maxBoot bytes of it
}

// The states of a life.
const (
	running byte = 1
	stopped byte = 2 // in order, with all that it wrote on the disk
)

// Where a life lies in the header: 1 byte state, 1 synced, 1 length of the boot's
// name, the name, and a checksum at the end.
const (
	lifeAt  = 16
	maxBoot = 64
	lifeEnd = lifeAt + 4 + maxBoot + 4
)

func (l life) put(header []byte) {
	c := header[lifeAt:lifeEnd]
	clear(c)
	c[0] = l.state
	if l.synced {
		c[1] = 1
	}
	c[2] = byte(copy(c[4:4+maxBoot], l.boot))
	binary.BigEndian.PutUint32(c[len(c)-4:], crc32.Checksum(c[:len(c)-4], castagnoli))
}

// lifeOf reads the last life; a torn one is none.
func lifeOf(header []byte) (l life, ok bool) {
	c := header[lifeAt:lifeEnd]
	if crc32.Checksum(c[:len(c)-4], castagnoli) != binary.BigEndian.Uint32(c[len(c)-4:]) || int(c[2]) > maxBoot {
		return l, false
	}
	return life{state: c[0], synced: c[1] != 0, boot: string(c[4 : 4+c[2]])}, true
}

// lost says whether what this life wrote may be gone now: it did not stop in
// order, and the system was started anew since, or cannot tell.
func (l life) lost(boot string) bool {
	return l.state != stopped && !l.synced && (boot == "" || l.boot != boot)
}
