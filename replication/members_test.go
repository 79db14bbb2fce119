package replication

import (
	"testing"

	"github.com/hashicorp/raft"
)

// What a peer sends as a group's members must not end the process.
func TestUnreadableMembersAreRefused(t *testing.T) {
	good := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "1", Address: "1"}}})
	for _, c := range []struct {
		name string
		data []byte
		want bool
	}{{"members", good, true}, {"nothing", nil, false}, {"half of them", good[:len(good)/2], false}, {"a number", []byte{7}, false}} {
		entries := []*raft.Log{{Type: raft.LogNoop}, {Type: raft.LogConfiguration, Data: c.data}}
		if err := checkMembers(entries); (err == nil) != c.want {
			t.Errorf("%s: %v, want accepted: %v", c.name, err, c.want)
		}
	}
}
