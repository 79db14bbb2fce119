package replication

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log/vfs"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// An append without entries, to a follower that is known to hold all before it,
// goes with the heartbeats, which may take a while: the append behind it is
// answered before it is. A follower of a prompt group is told at once.
func TestIdleAppendsKeepNoneWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		for _, prompt := range []bool{false, true} {
			var links slowLinks
			tr := newTransport(p.id, Recovery{}, 1, &links, p.group.Load().store, n.throttle, func() {}, func(uint64) {})
			tr.prompt = prompt
			pipe, err := tr.AppendEntriesPipeline("2", "2")
			if err != nil {
				t.Fatal(err)
			}
			send := func(follows uint64) raft.AppendFuture {
				t.Helper()
				f, err := pipe.AppendEntries(&raft.AppendEntriesRequest{PrevLogEntry: follows}, &raft.AppendEntriesResponse{})
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			success := &raft.AppendEntriesResponse{Success: true}
			first := send(5)
			links.answerWith(success, nil)
			if got := <-pipe.Consumer(); got != first {
				t.Fatal("the first append is not answered first")
			}
			idle, next := send(5), send(6)
			if _, waits := links.requests[1].(mesh.Idle); waits == prompt {
				t.Errorf("prompt %v: what follows all that the follower holds is sent as a %T", prompt, links.requests[1])
			}
			if _, waits := links.requests[2].(mesh.Idle); waits {
				t.Error("what follows more than the follower is known to hold goes by another way than that")
			}
			slices.Reverse(links.waiting)
			links.answerWith(success, nil)
			select {
			case got := <-pipe.Consumer():
				if prompt || got != next {
					t.Errorf("prompt %v: an answer came before that of the append before it", prompt)
				}
			default:
				if !prompt {
					t.Error("the idle append keeps the one behind it waiting")
				}
			}
			links.answerWith(success, nil)
			if got := <-pipe.Consumer(); got != idle {
				t.Errorf("prompt %v: the idle append is not answered", prompt)
			}
			if err := pipe.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
