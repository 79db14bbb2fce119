package replication

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
)

// The log stores a group's members in few bytes, so that a row of it holds them and
// founding a partition makes no file for payloads. Raft's own encoding, which older
// programs stored and which travels between nodes, names every field of every
// member. docs/format/raft-sidecar.md has the byte boxes.

// shortMembers is the first byte of the short form; raft's begins with 0x81.
const shortMembers = 1

// encodeMembers is what is stored of a list of members, in their order. A list that
// the short form cannot say is stored as raft encodes it.
func encodeMembers(c raft.Configuration) []byte {
	b := []byte{shortMembers}
	for _, s := range c.Servers {
		node, ok := nodeOf(s.ID)
		if !ok || node < 0 || s.ID != serverID(node) || s.Address != serverAddress(node) || s.Suffrage < 0 || s.Suffrage > raft.Staging {
			return raft.EncodeConfiguration(c)
		}
		b = binary.AppendUvarint(b, uint64(node)<<2|uint64(s.Suffrage))
	}
	return b
}

// decodeMembers reads either form.
//
// Errors: log.ErrCorrupt.
func decodeMembers(b []byte) (c raft.Configuration, err error) {
	if len(b) == 0 || b[0] != shortMembers {
		return decodeRaftMembers(b)
	}
	for rest := b[1:]; len(rest) > 0; {
		said, n := binary.Uvarint(rest)
		node, suffrage := int32(said>>2), raft.ServerSuffrage(said&3)
		if n <= 0 || said>>2 > 1<<31-1 || suffrage > raft.Staging {
			return c, fmt.Errorf("members of a group, % x: %w", b, log.ErrCorrupt)
		}
		c.Servers = append(c.Servers, raft.Server{Suffrage: suffrage, ID: serverID(node), Address: serverAddress(node)})
		rest = rest[n:]
	}
	return c, nil
}

// decodeRaftMembers reads raft's own form, on which raft panics if it cannot.
func decodeRaftMembers(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("configuration of the group cannot be read: %v: %w", wrong, log.ErrCorrupt)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}

// raftMembers is a stored list in raft's own form.
//
// Errors: log.ErrCorrupt.
func raftMembers(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] != shortMembers {
		return b, nil
	}
	c, err := decodeMembers(b)
	if err != nil {
		return nil, err
	}
	return raft.EncodeConfiguration(c), nil
}
