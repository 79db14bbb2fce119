package replication

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
)

func server(node int32, suffrage raft.ServerSuffrage) raft.Server {
	return raft.Server{Suffrage: suffrage, ID: serverID(node), Address: serverAddress(node)}
}

func TestStoredMembers(t *testing.T) {
	many := []raft.Server{}
	for node := range int32(20) {
		many = append(many, server(1000+node, raft.Voter))
	}
	for _, c := range []struct {
		name    string
		servers []raft.Server
		short   int // bytes; 0: as raft encodes them
	}{
		{"one", []raft.Server{server(1, raft.Voter)}, 2},
		{"none", nil, 1},
		{"in their order, with an observer", []raft.Server{server(3, raft.Voter), server(1, raft.Nonvoter), server(2, raft.Staging)}, 4},
		{"the highest node", []raft.Server{server(1<<31-1, raft.Voter)}, 6},
		{"many", many, 41},
		{"of a name that is no node", []raft.Server{{ID: "a", Address: "a"}}, 0},
		{"of a number that is written otherwise", []raft.Server{{ID: "01", Address: "1"}}, 0},
		{"with an address of its own", []raft.Server{{ID: "1", Address: "2"}}, 0},
	} {
		list := raft.Configuration{Servers: c.servers}
		b := encodeMembers(list)
		if c.short > 0 && len(b) != c.short {
			t.Errorf("%s: %d bytes, want %d", c.name, len(b), c.short)
		}
		for form, stored := range map[string][]byte{"short": b, "raft's": raft.EncodeConfiguration(list)} {
			if got, err := decodeMembers(stored); err != nil || !slices.Equal(got.Servers, c.servers) {
				t.Errorf("%s, %s form: %v, %v", c.name, form, got.Servers, err)
			}
			if again, err := raftMembers(stored); err != nil || string(again) != string(raft.EncodeConfiguration(list)) {
				t.Errorf("%s, %s form: raft is given % x, %v", c.name, form, again, err)
			}
		}
	}
}

func TestDamagedMembersAreReported(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                nil,
		"no form that is known":  {7},
		"a number without end":   {shortMembers, 0x80},
		"a node beyond int32":    {shortMembers, 0x80, 0x80, 0x80, 0x80, 0x20},
		"no suffrage of raft's":  {shortMembers, 4<<2 | 3},
		"half of raft's own":     raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{server(1, raft.Voter)}})[:20],
		"a number above 64 bits": {shortMembers, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if c, err := decodeMembers(b); !errors.Is(err, log.ErrCorrupt) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add(encodeMembers(raft.Configuration{Servers: []raft.Server{server(1, raft.Voter), server(700, raft.Nonvoter)}}))
	f.Add(raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{server(1, raft.Voter)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeMembers(b)
		if err != nil {
			return
		}
		if again, err := decodeMembers(encodeMembers(c)); err != nil || !slices.Equal(again.Servers, c.Servers) {
			t.Errorf("%v became %v, %v", c, again, err)
		}
	})
}

// A group that an older program founded has its members in raft's own form, in a
// file beside the rows.
func TestGroupOfAnOlderProgramOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		id := PartitionID{TopicID: [16]byte{7}}
		l, err := log.Open(filepath.Join("data", id.String()), log.Config{}, log.Options{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		members := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{server(1, raft.Voter)}})
		if err := errors.Join(l.Append([]log.Entry{{Index: 1, Term: 1, Kind: log.KindConfiguration, Data: members}}), l.Close()); err != nil {
			t.Fatal(err)
		}
		n := openNode(t, disk)
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: plainBatch(4), Acks: -1})
		if got := p.Voters(); !slices.Equal(got, []int32{1}) {
			t.Errorf("voters %v, want 1", got)
		}
		closeNode(t, n)
	})
}

// What founds a partition is a folder and two files: an inode more for each of a
// thousand partitions is what their creation takes longest with.
func TestNewPartitionIsTwoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		n := openNode(t, disk)
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: plainBatch(4), Acks: -1})
		entries, err := disk.ReadDir(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if want := []string{"00000000000000000000.log", "00000000000000000000.raft"}; !slices.Equal(names, want) {
			t.Errorf("files %v, want %v", names, want)
		}
		closeNode(t, n)
	})
}
