package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// A tester is what a world needs of *testing.T and *rapid.T.
type tester interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A world is a coordinator of one partition, over a log in memory, with
// participants that only take notes. It lives in a synctest bubble.
type world struct {
	t       tester
	cfg     Config
	p       *shardtest.Partition
	c       *Coordinator
	epoch   int32
	markers *fakeMarkers
	ids     *fakeIDs
	seen    int // batches of the log already shown
}

func newWorld(t tester, change func(*Config)) *world {
	w := &world{t: t, p: shardtest.New(), epoch: 1, markers: newFakeMarkers(), ids: &fakeIDs{next: 1000}}
	w.cfg = Config{Markers: w.markers, IDs: w.ids, Partitions: func() int32 { return 1 }}
	if change != nil {
		change(&w.cfg)
	}
	w.start()
	t.Cleanup(func() {
		w.markers.release()
		w.c.Close()
	})
	return w
}

func (w *world) start() {
	w.c = New(w.cfg)
	w.c.Lead(0, w.p)
}

// restart is a new process, or the leader of the next epoch: nothing but the log
// is left.
func (w *world) restart() {
	w.c.Close()
	w.epoch++
	w.p.Lead(w.epoch)
	w.start()
}

// put stores a state that no request leads to.
func (w *world) put(id string, t *Transaction) {
	b := record.NewBuilder(record.BuilderOptions{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1})
	b.Append(encode(id, t, time.Now()))
	w.p.Put(b.Build())
}

// news are the records stored since the last call.
func (w *world) news() []string {
	var lines []string
	batches := w.p.Batches()
	for _, b := range batches[w.seen:] {
		for r, err := range b.Records(new(record.Buffers)) {
			if err != nil {
				w.t.Fatal(err)
			}
			id, t, err := decode(r)
			if err != nil {
				w.t.Fatal(err)
			}
			lines = append(lines, "log: "+id+" "+show(t))
		}
	}
	w.seen = len(batches)
	return lines
}

func show(t *Transaction) string {
	if t == nil {
		return "tombstone"
	}
	s := fmt.Sprintf("%v %d/%d", t.State, t.ProducerID, t.ProducerEpoch)
	if t.LastProducerEpoch != NoProducerEpoch {
		s += fmt.Sprintf(" last=%d", t.LastProducerEpoch)
	}
	if t.NextProducerID != NoProducerID {
		s += fmt.Sprintf(" next=%d", t.NextProducerID)
	}
	if len(t.Participants) > 0 {
		s += " " + strings.Trim(fmt.Sprint(t.Participants), "[]")
	}
	return s
}

// fakeIDs grants blocks of three.
type fakeIDs struct {
	mu    sync.Mutex
	next  int64
	fail  error
	asked int
	held  chan struct{} // not nil: granting waits until it is closed
}

func (f *fakeIDs) AllocateProducerIDs(ctx context.Context) (int64, int32, error) {
	f.mu.Lock()
	f.asked++
	held := f.held
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, 0, f.fail
	}
	f.next += 3
	return f.next - 3, 3, nil
}

// set changes what it does from now on.
func (f *fakeIDs) set(fail error, held chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.held = fail, held
}

// fakeMarkers notes the markers it is asked to write.
type fakeMarkers struct {
	mu      sync.Mutex
	notes   []string
	all     []Marker
	written []Marker      // of all, those that did not fail
	held    chan struct{} // not nil: writing waits until it is closed
	fails   int           // the next so many fail
	open    int           // markers being written now
}

func newFakeMarkers() *fakeMarkers { return &fakeMarkers{} }

func (f *fakeMarkers) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(chan struct{})
	}
}

func (f *fakeMarkers) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

func (f *fakeMarkers) fail(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = n
}

func (f *fakeMarkers) WriteMarker(ctx context.Context, m Marker) error {
	f.mu.Lock()
	held := f.held
	f.open++
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.all = append(f.all, m)
	result, level := "abort", "TV1"
	if m.Commit {
		result = "commit"
	}
	if m.TV2 {
		level = "TV2"
	}
	note := fmt.Sprintf("marker: %v %s %d/%d %s session %d.%d", m.Participant, result, m.ProducerID, m.ProducerEpoch, level, m.CoordinatorEpoch, m.Session)
	if f.fails > 0 {
		f.fails--
		f.notes = append(f.notes, note+" fails")
		return fmt.Errorf("no leader: %w", kerr.NotLeaderForPartition)
	}
	f.notes = append(f.notes, note)
	f.written = append(f.written, m)
	return nil
}

// news are the notes since the last call, in no order of their own.
func (f *fakeMarkers) news() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	notes := f.notes
	f.notes = nil
	slices.Sort(notes)
	return notes
}

// answer shows what a client was told.
func answer(p ProducerIDAndEpoch, err error) string {
	var code *kerr.Error
	switch {
	case err == nil && p == noProducer:
		return "ok"
	case err == nil:
		return fmt.Sprintf("ok %d/%d", p.ID, p.Epoch)
	case errors.As(err, &code):
		return fmt.Sprintf("%s (%d)", code.Message, code.Code)
	default:
		return err.Error()
	}
}

// orders is a partition of the topic of most tests.
func orders(partition int32) Participant {
	return Participant{Topic: "orders", TopicID: [16]byte{1}, Partition: partition}
}

func (w *world) init(id string) ProducerIDAndEpoch {
	w.t.Helper()
	p, err := w.c.InitProducerID(w.t.Context(), InitProducerIDRequest{
		TransactionalID: id, Timeout: time.Minute, ProducerID: NoProducerID, ProducerEpoch: NoProducerEpoch, Version: 5,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) add(id string, p ProducerIDAndEpoch, ps ...Participant) error {
	return w.c.AddPartitions(w.t.Context(), AddPartitionsRequest{id, p.ID, p.Epoch, ps, 3})
}

func (w *world) end(id string, p ProducerIDAndEpoch, commit bool, version int16) (ProducerIDAndEpoch, error) {
	return w.c.EndTxn(w.t.Context(), EndTxnRequest{id, p.ID, p.Epoch, commit, version})
}

func (w *world) state(id string) State {
	w.t.Helper()
	t, err := w.c.Describe(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t.State
}
