package replication

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log/vfs"
)

// An append without entries that tells a follower nothing is kept back until
// something has changed; then raft goes on without it, or it is sent.
func TestIdleAppendsRest(t *testing.T) {
	const match, commit = 5, 5
	for _, c := range []struct {
		name  string
		wake  func(tr *transport, pipe *pipeline)
		sent  bool // it, or the one that raft makes next
		fails bool // raft is told that the pipeline ended
	}{
		{"entries were stored", func(tr *transport, _ *pipeline) { tr.stir() }, false, false},
		{"more is committed", func(tr *transport, _ *pipeline) { tr.commits(commit + 1) }, true, false},
		{"the follower's node connected again", func(tr *transport, _ *pipeline) { tr.unsure(2) }, true, false},
		{"a heartbeat was not answered", func(tr *transport, _ *pipeline) {
			tr.learn("2", &raft.AppendEntriesRequest{}, nil, time.Now(), errNoLink)
		}, true, false},
		{"the follower holds less than it did", func(tr *transport, _ *pipeline) {
			tr.note("2", &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{Success: true, LastLog: match - 1}, time.Now())
		}, true, false},
		{"the pipeline is closed", func(_ *transport, pipe *pipeline) {
			if err := pipe.Close(); err != nil {
				t.Error(err)
			}
		}, false, true},
		{"nothing happened for long", func(*transport, *pipeline) { time.Sleep(2 * restMost) }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := openNode(t, vfs.NewMem())
				defer closeNode(t, n)
				p := openOne(t, n, 0)
				var links slowLinks
				tr := newTransport(p.id, Recovery{}, 1, &links, p.group.Load().store, n.throttle, func() {}, func(uint64) {})
				pipe, err := tr.AppendEntriesPipeline("2", "2")
				if err != nil {
					t.Fatal(err)
				}
				defer pipe.Close()
				idle := func() error {
					_, err := pipe.AppendEntries(&raft.AppendEntriesRequest{PrevLogEntry: match, LeaderCommitIndex: commit}, &raft.AppendEntriesResponse{})
					return err
				}
				if err := idle(); err != nil {
					t.Fatal(err)
				}
				links.answerWith(&raft.AppendEntriesResponse{Success: true, LastLog: match}, nil)
				<-pipe.Consumer()
				before := links.sent()
				returned := make(chan error, 2)
				go func() {
					err := idle()
					returned <- err
					if err == nil && c.sent && links.sent() == before {
						err = idle()
					}
					returned <- err
				}()
				synctest.Wait()
				if len(returned) > 0 || links.sent() != before {
					t.Fatal("what the follower knows is sent to it again")
				}
				c.wake(tr, pipe.(*pipeline))
				if err := <-returned; (err != nil) != c.fails {
					t.Errorf("the rest ended with %v; an error is wanted: %v", err, c.fails)
				}
				<-returned
				if got := links.sent() > before; got != c.sent {
					t.Errorf("it is sent: %v, want %v", got, c.sent)
				}
			})
		})
	}
}
