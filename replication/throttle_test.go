package replication

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// slowLinks keep every request until they are told to answer.
type slowLinks struct {
	mu       sync.Mutex
	waiting  []func(any, error)
	requests []any
}

func (l *slowLinks) send(_ int32, _ PartitionID, _ uint32, request any, done func(any, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.requests = append(l.waiting, done), append(l.requests, request)
}

func (l *slowLinks) answer() { l.answerWith(nil, errors.New("it took too long")) }

func (l *slowLinks) answerWith(answer any, err error) {
	l.mu.Lock()
	done := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.mu.Unlock()
	done(answer, err)
}

func (l *slowLinks) sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

func (l *slowLinks) up(int32) <-chan struct{} { return reachable }
func (l *slowLinks) contact(int32) contact    { return contact{near: true} }
func (l *slowLinks) pull(context.Context, int32, []byte) ([]byte, error) {
	return nil, errUnreachable
}

// A node that lacks much of many partitions gets a few requests at a time, and
// who only follows it waits behind none of them.
func TestCatchingUpStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		var links slowLinks
		var all sync.WaitGroup
		send := func(partition int32, first uint64) {
			p := openOne(t, n, partition)
			for p.Log().Size() < 3*maxBehind {
				b := record.NewBuilder(record.NoProducer())
				b.Append(record.Record{Value: make([]byte, 20<<10)})
				mustAppend(t, p, Append{Batch: b.Build(), Acks: 1})
			}
			if first == 0 {
				first = p.Log().LastIndex() - 10
			}
			store := p.group.Load().store
			tr := newTransport(p.id, Recovery{}, 1, &links, store, n.throttle, func() {}, func(uint64) {})
			var entries []*raft.Log
			for index := first; index < first+10; index++ {
				entry := new(raft.Log)
				if err := store.GetLog(index, entry); err != nil {
					t.Fatal(err)
				}
				entries = append(entries, entry)
			}
			all.Go(func() {
				var resp raft.AppendEntriesResponse
				if err := tr.AppendEntries("2", "2", &raft.AppendEntriesRequest{Entries: entries}, &resp); err == nil {
					t.Error("an append that failed succeeded")
				}
			})
			synctest.Wait()
		}
		for partition := range int32(5) {
			send(partition, 20)
		}
		if got := links.sent(); got != pipelineDepth {
			t.Errorf("%d appends of old entries are under way, want %d", got, pipelineDepth)
		}
		send(5, 0) // the newest
		if got := links.sent(); got != pipelineDepth+1 {
			t.Errorf("%d appends are under way, want that of new entries among %d", got, pipelineDepth+1)
		}
		for range 6 {
			links.answer()
			synctest.Wait()
			if got := links.sent(); got > pipelineDepth+1 {
				t.Errorf("%d appends are under way, want at most %d", got, pipelineDepth+1)
			}
		}
		all.Wait()
	})
}
