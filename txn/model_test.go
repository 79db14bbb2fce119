package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestModel sends random requests, in virtual time, with markers held back and
// coordinators replaced, and compares every answer with a model that knows only
// what a client may see; in the end the markers with what the model decided.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var failure any
		synctest.Test(t, func(t *testing.T) {
			defer func() { failure = recover() }() // rapid's own, on its way out of the bubble
			m := &model{r: r, ids: map[string]*modelled{"a": {}, "b": {}}, markers: map[string]bool{}}
			m.w = newWorld(bubbled{r, t}, nil)
			defer func() { m.w.c.Close() }()
			defer m.w.markers.release()
			synctest.Wait()
			m.play()
		})
		// rapid shrinks to the same place of a panic: keep apart that the test
		// failed, and that rapid asked for more than the random bytes at hand.
		switch fmt.Sprintf("%T", failure) {
		case "<nil>":
		case "rapid.stopTest":
			panic(failure)
		default:
			panic(failure)
		}
	})
}

// bubbled is rapid's test with the context of the bubble it runs in.
type bubbled struct {
	*rapid.T
	bubble *testing.T
}

func (b bubbled) Context() context.Context { return b.bubble.Context() }
func (b bubbled) Cleanup(func())           {} // would run outside of the bubble

func (m *model) play() {
	m.r.Repeat(map[string]func(*rapid.T){
		"":        func(*rapid.T) { synctest.Wait() },
		"init":    m.init,
		"bump":    m.bump,
		"add":     m.add,
		"end v4":  func(*rapid.T) { m.end(4) },
		"end v5":  func(*rapid.T) { m.end(5) },
		"produce": m.produce,
		"verify":  m.verify,
		"hold":    func(*rapid.T) { m.held = true; m.w.markers.hold() },
		"release": func(*rapid.T) { m.release() },
		"advance": m.advance,
		"restart": func(*rapid.T) { m.w.restart() },
	})
	m.release()
	m.checkMarkers()
}

// modelled is what the clients of one transactional id may see of it.
type modelled struct {
	known    bool
	holder   ProducerIDAndEpoch // who may act
	own      int16              // epoch that the same producer held before, -1: another did
	open     bool
	parts    map[Participant]bool
	since    time.Time
	inFlight bool
	ended    *bool // how the transaction before ended: commit or not; nil: there is none
}

type model struct {
	r       *rapid.T
	w       *world
	ids     map[string]*modelled
	held    bool
	told    []ProducerIDAndEpoch // every producer that was ever told to a client
	markers map[string]bool      // that must have been written
}

// draw chooses a transactional id, and a producer that some client is or was.
func (m *model) draw() (string, *modelled, ProducerIDAndEpoch) {
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(m.r, "id")
	x, p := m.ids[id], noProducer
	switch rapid.IntRange(0, 3).Draw(m.r, "who") {
	case 0:
		if len(m.told) > 0 {
			p = rapid.SampledFrom(m.told).Draw(m.r, "told")
		}
	default:
		if x.known {
			p = x.holder
		}
	}
	return id, x, p
}

// expect compares an answer's code with the model's.
func (m *model) expect(what string, err error, want *kerr.Error) {
	m.r.Helper()
	m.r.Logf("%s: %v", what, err)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		m.r.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// tell notes what a client was told, and that it was told to nobody before,
// unless it is the answer to a repeat.
func (m *model) tell(x *modelled, got ProducerIDAndEpoch, repeat bool) {
	if x.known && got != x.holder {
		m.r.Fatalf("told %v, want %v", got, x.holder)
	}
	if !repeat && slices.Contains(m.told, got) {
		m.r.Fatalf("%v was told before", got)
	}
	if !slices.Contains(m.told, got) {
		m.told = append(m.told, got)
	}
}

// finish ends the open transaction, or an empty one.
func (m *model) finish(x *modelled, commit, bump bool) {
	if bump {
		x.own = x.holder.Epoch
		x.holder.Epoch++
	}
	for p := range x.parts {
		m.markers[fmt.Sprint(p, x.holder, commit, bump)] = true
	}
	x.inFlight = m.held && len(x.parts) > 0
	x.open, x.parts, x.ended = false, nil, &commit
}

func (m *model) init(*rapid.T) {
	id, x, _ := m.draw()
	got, err := m.w.c.InitProducerID(m.w.t.Context(), InitProducerIDRequest{id, time.Minute, NoProducerID, NoProducerEpoch, 5})
	switch {
	case x.inFlight:
		m.expect("init "+id, err, kerr.ConcurrentTransactions)
	case x.open:
		m.expect("init "+id, err, kerr.ConcurrentTransactions)
		m.finish(x, false, true)
	default:
		m.expect("init "+id, err, nil)
		if x.known {
			x.holder.Epoch++
		}
		m.tell(x, got, false)
		x.known, x.holder, x.own, x.ended = true, got, -1, nil
	}
}

// bump is InitProducerId of KIP-360.
func (m *model) bump(*rapid.T) {
	id, x, p := m.draw()
	if p == noProducer || !x.known {
		return
	}
	got, err := m.w.c.InitProducerID(m.w.t.Context(), InitProducerIDRequest{id, time.Minute, p.ID, p.Epoch, 5})
	what := fmt.Sprintf("bump %s %v", id, p)
	repeat := !x.open && p.ID == x.holder.ID && p.Epoch == x.own
	switch {
	case x.inFlight:
		m.expect(what, err, kerr.ConcurrentTransactions)
	case p != x.holder && !repeat:
		m.expect(what, err, kerr.ProducerFenced)
	case x.open:
		m.expect(what, err, kerr.ConcurrentTransactions)
		m.finish(x, false, true)
	default:
		m.expect(what, err, nil)
		if !repeat {
			x.own = x.holder.Epoch
			x.holder.Epoch++
		}
		m.tell(x, got, repeat)
		x.ended = nil
	}
}

// judge is what every request of a producer meets first.
func (x *modelled) judge(p ProducerIDAndEpoch) *kerr.Error {
	switch {
	case x.known && x.inFlight:
		return kerr.ConcurrentTransactions
	case !x.known || p.ID != x.holder.ID:
		return kerr.InvalidProducerIDMapping
	case p != x.holder:
		return kerr.ProducerFenced
	}
	return nil
}

func (m *model) add(*rapid.T) {
	id, x, p := m.draw()
	part := orders(int32(rapid.IntRange(0, 2).Draw(m.r, "partition")))
	err := m.w.add(id, p, part)
	want := x.judge(p)
	m.expect(fmt.Sprintf("add %s %v", id, p), err, want)
	if want == nil {
		x.join(part)
	}
}

func (x *modelled) join(part Participant) {
	if !x.open {
		x.open, x.parts, x.since, x.ended = true, map[Participant]bool{}, time.Now(), nil
	}
	x.parts[part] = true
}

func (m *model) produce(*rapid.T) {
	id, x, p := m.draw()
	part := orders(int32(rapid.IntRange(0, 2).Draw(m.r, "partition")))
	errs := m.w.c.Ensure(m.w.t.Context(), EnsureRequest{id, p.ID, p.Epoch, []Participant{part}, kmsg.Produce, 12})
	want := x.judge(p)
	if want == kerr.ProducerFenced {
		want = kerr.InvalidProducerEpoch
	}
	m.expect(fmt.Sprintf("produce %s %v", id, p), errs[0], want)
	if want == nil {
		x.join(part)
	}
}

func (m *model) verify(*rapid.T) {
	id, x, p := m.draw()
	part := orders(int32(rapid.IntRange(0, 2).Draw(m.r, "partition")))
	errs := m.w.c.Ensure(m.w.t.Context(), EnsureRequest{id, p.ID, p.Epoch, []Participant{part}, kmsg.Produce, 11})
	var want *kerr.Error
	switch {
	case !x.known || p.ID != x.holder.ID:
		want = kerr.InvalidProducerIDMapping
	case p != x.holder:
		want = kerr.InvalidProducerEpoch
	case x.inFlight:
		want = kerr.NotEnoughReplicas
	case !x.parts[part]:
		want = kerr.TransactionAbortable
	}
	m.expect(fmt.Sprintf("verify %s %v", id, p), errs[0], want)
}

func (m *model) end(version int16) {
	id, x, p := m.draw()
	commit := rapid.Bool().Draw(m.r, "commit")
	got, err := m.w.end(id, p, commit, version)
	what := fmt.Sprintf("end %s %v commit=%v v%d", id, p, commit, version)
	if version < 5 {
		m.endV1(what, x, p, commit, err)
	} else {
		m.endV2(what, x, p, commit, got, err)
	}
}

func (m *model) endV1(what string, x *modelled, p ProducerIDAndEpoch, commit bool, err error) {
	want := x.judge(p)
	if x.inFlight { // the old protocol looks at the producer first
		switch {
		case p.ID != x.holder.ID:
			want = kerr.InvalidProducerIDMapping
		case p != x.holder:
			want = kerr.ProducerFenced
		case *x.ended != commit:
			want = kerr.InvalidTxnState
		}
	} else if want == nil && !x.open && (x.ended == nil || *x.ended != commit) {
		want = kerr.InvalidTxnState
	}
	m.expect(what, err, want)
	if want == nil && x.open {
		m.finish(x, commit, false)
	}
}

func (m *model) endV2(what string, x *modelled, p ProducerIDAndEpoch, commit bool, got ProducerIDAndEpoch, err error) {
	want := x.judge(p)
	repeat := x.known && !x.inFlight && x.ended != nil && p == ProducerIDAndEpoch{x.holder.ID, x.holder.Epoch - 1}
	switch {
	case repeat && *x.ended == commit:
		m.expect(what, err, nil)
		m.tell(x, got, true)
		return
	case repeat, want == nil && !x.open && commit:
		want = kerr.InvalidTxnState
	}
	m.expect(what, err, want)
	if want == nil {
		m.finish(x, commit, true)
		m.tell(x, got, false)
	}
}

func (m *model) release() {
	m.held = false
	m.w.markers.release()
	synctest.Wait()
	for _, x := range m.ids {
		x.inFlight = false
	}
}

func (m *model) advance(*rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(m.r, "seconds")) * time.Second)
	synctest.Wait()
	for _, x := range m.ids {
		if x.open && time.Since(x.since) >= time.Minute {
			m.finish(x, false, true)
		}
	}
}

// checkMarkers compares what was written with what the model decided. A marker
// may have been written again by another coordinator.
func (m *model) checkMarkers() {
	written := map[string]bool{}
	for _, k := range m.w.markers.all {
		written[fmt.Sprint(k.Participant, ProducerIDAndEpoch{k.ProducerID, k.ProducerEpoch}, k.Commit, k.TV2)] = true
	}
	for k := range m.markers {
		if !written[k] {
			m.r.Fatalf("marker missing: %s", k)
		}
	}
	for k := range written {
		if !m.markers[k] {
			m.r.Fatalf("marker nobody asked for: %s", k)
		}
	}
}
