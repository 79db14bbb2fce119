package group

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

func TestMembersAreThereAfterARestart(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.static("b")
		w.stable(a, b)
		want(t, "commit", a.commit(0, 5), nil)
		want(t, "pending", a.commitInTxn(7, 0, 1, 6), nil)
		before := w.describe("g")
		time.Sleep(9 * time.Second) // most of the session is over
		w.restart()
		after := w.describe("g")
		if diff := cmp.Diff(before, after, cmp.Comparer(func(_, _ kmsg.Tags) bool { return true })); diff != "" || len(after.Members) != 2 {
			t.Errorf("the group is not as it was (-before +after):\n%s", diff)
		}
		time.Sleep(9 * time.Second) // sessions are fresh
		want(t, "heartbeat of a", a.heartbeat(), nil)
		want(t, "commit of a", a.commit(0, 8), nil)
		w.wantFetch("g", 0, true, 8, nil)
		w.wantFetch("g", 1, true, -1, kerr.UnstableOffsetCommit)
		w.mark(7, 0, true)
		w.wantFetch("g", 1, true, 6, nil)
		beat(2*time.Second, a)
		want(t, "b is missed", a.heartbeat(), kerr.RebalanceInProgress)
	})
}

func TestSecondGenerationAfterARestart(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a := w.static("a")
		w.stable(a)
		w.restart()
		again := w.static("a")
		want(t, "return", again.join(), nil)
		if again.generation != 1 || !again.skip {
			t.Errorf("generation %d, skip %v", again.generation, again.skip)
		}
		w.restart()
		want(t, "heartbeat under the id stored last", again.heartbeat(), nil)
		want(t, "heartbeat under the first id", a.heartbeat(), kerr.FencedInstanceID)
	})
}

func TestUnstoredGenerationIsGoneAfterARestart(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		a := w.client()
		w.stable(a)
		want(t, "leave", a.leave(), nil)
		b := w.client()
		want(t, "join", b.join(), nil) // but no assignment
		w.restart()
		w.wantState(Empty, 0)
		want(t, "heartbeat", b.heartbeat(), kerr.UnknownMemberID)
		want(t, "join", b.join(), kerr.UnknownMemberID)
	})
}

func TestLoadOfAGroupThatIsTooLarge(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a, b := w.client(), w.client()
		w.stable(a, b)
		w.config.MaxSize = 1
		w.restart()
		want(t, "a is told", a.heartbeat(), kerr.RebalanceInProgress)
		first := later(a.join)
		wantNone(t, "first", first)
		want(t, "the one too many", b.join(), kerr.GroupMaxSizeReached)
	})
}

func TestLoading(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		a := w.client()
		w.stable(a)
		w.p.Elect(2)
		want(t, "heartbeat while loading", a.heartbeat(), nil)
		want(t, "commit while loading", a.commit(0, 1), kerr.CoordinatorLoadInProgress)
		want(t, "join while loading", a.join(), kerr.CoordinatorLoadInProgress)
		w.p.Barrier()
		want(t, "commit", a.commit(0, 1), nil)
	})
}

func TestReplayIsRobust(t *testing.T) {
	key := func(version byte) []byte { return []byte{0, version, 0} }
	for _, tc := range []struct {
		name    string
		r       record.Record
		refused bool
	}{
		{"no key", record.Record{}, true},
		{"offset key cut short", record.Record{Key: key(1), Value: []byte{}}, true},
		{"group key cut short", record.Record{Key: key(2)}, true},
		{"group value cut short", record.Record{Key: metadataKey("g"), Value: []byte{0, 3, 0}}, true},
		{"offset value cut short", record.Record{Key: offsetKey("g", partition{"t", 0}), Value: []byte{0}}, true},
		{"kind of a newer version", record.Record{Key: key(99), Value: []byte("?")}, false},
		{"tombstone of nothing", record.Record{Key: metadataKey("g")}, false},
		{"tombstone of no offset", record.Record{Key: offsetKey("g", partition{"t", 0})}, false},
	} {
		v := newView(nil)
		err := v.Apply(shard.Batch{ProducerID: -1, Records: []record.Record{tc.r}})
		if refused := err != nil; refused != tc.refused {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

// A value that says 2^32 tags would be counted through, and one of a newer version
// is not understood.
func TestValuesThatAreRefused(t *testing.T) {
	now := time.UnixMilli(1)
	r := offsetRecord("g", partition{"t", 1}, committed{offset: 7, metadata: "of mine", expireMs: -1}, now)
	whole := r.Value
	if _, _, c, _, err := decodeOffset(r); err != nil || c.offset != 7 || c.metadata != "of mine" {
		t.Fatalf("committed offset: %+v, %v", c, err)
	}
	tags := len(whole) - 1
	for _, b := range whole[tags:] {
		if b != 0 {
			t.Fatalf("value ends with %d, want no tags", b)
		}
	}
	for name, value := range map[string][]byte{
		"nothing":       {},
		"2^32 tags":     append(bytes.Clone(whole[:tags]), 0xff, 0xff, 0xff, 0xff, 0x0f),
		"newer version": append([]byte{0, 5}, whole[2:]...),
	} {
		if _, _, _, _, err := decodeOffset(record.Record{Key: r.Key, Value: value}); err == nil {
			t.Errorf("%s: committed offset was taken", name)
		}
	}
	for cut := range tags {
		if _, _, _, _, err := decodeOffset(record.Record{Key: r.Key, Value: whole[:cut]}); err == nil {
			t.Errorf("committed offset cut to %d bytes was taken", cut)
		}
	}
	if _, _, err := decodeGroup(record.Record{Key: metadataKey("g"), Value: []byte{0, 4, 1, 0, 0, 0, 0, 0}}); err == nil {
		t.Error("a group of a newer version was taken")
	}
}

func FuzzApply(f *testing.F) {
	now := time.UnixMilli(1)
	r := offsetRecord("g", partition{"t", 1}, committed{expireMs: -1}, now)
	f.Add(r.Key, r.Value)
	g := newGroup("g", 5)
	g.add(&member{id: "m"}, "consumer")
	g.protocol = new("range")
	m := metadataRecord("g", turn{group: g}.value(&store{}), now)
	f.Add(m.Key, m.Value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		v := newView(nil)
		_ = v.Apply(shard.Batch{ProducerID: 3, Transactional: true, Records: []record.Record{{Key: key, Value: value}}})
	})
}
