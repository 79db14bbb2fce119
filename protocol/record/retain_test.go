package record

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRetain(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			b := build(codec)
			all, err := b.Retain(func(Record) bool { return true }, 0, nil)
			if err != nil || &all[0] != &b[0] {
				t.Fatalf("all kept: copied, %v", err)
			}
			one, err := b.Retain(func(r Record) bool { return r.Offset == 41 }, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			checkRetained(t, one, b, 1)
			if diff := cmp.Diff(collect(t, one, nil), samples[1:2]); diff != "" {
				t.Fatal(diff)
			}
			if one.MaxTimestamp() != 900 || one.HasDeleteHorizon() {
				t.Fatalf("max timestamp %d, horizon %d", one.MaxTimestamp(), one.DeleteHorizon())
			}
			none, err := b.Retain(func(Record) bool { return false }, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			checkRetained(t, none, b, 0)
			if len(none) != HeaderSize || len(collect(t, none, nil)) != 0 || none.MaxTimestamp() != b.MaxTimestamp() {
				t.Fatalf("empty batch of %d bytes, max timestamp %d", len(none), none.MaxTimestamp())
			}
		})
	}
}

// checkRetained wants the identity of the batch unchanged.
func checkRetained(t *testing.T, got, b Batch, count int32) {
	t.Helper()
	if got.CRC() != got.Checksum() || got.Size() != len(got) || got.Count() != count {
		t.Fatalf("crc %#x of %#x, size %d of %d, count %d", got.CRC(), got.Checksum(), got.Size(), len(got), got.Count())
	}
	if got.BaseOffset() != b.BaseOffset() || got.LastOffset() != b.LastOffset() || got.BaseSequence() != b.BaseSequence() ||
		got.LastSequence() != b.LastSequence() || got.ProducerID() != b.ProducerID() || got.LeaderEpoch() != b.LeaderEpoch() {
		t.Fatalf("identity changed: %x of %x", []byte(got[:HeaderSize]), []byte(b[:HeaderSize]))
	}
}

func TestRetainSetsTheDeleteHorizonOnce(t *testing.T) {
	b := build(CodecGzip)
	all := func(Record) bool { return true }
	first, err := b.Retain(all, 10_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(collect(t, first, nil), samples); diff != "" {
		t.Fatal(diff)
	}
	if first.DeleteHorizon() != 10_000 || b.DeleteHorizon() != 0 || first.MaxTimestamp() != 5000 {
		t.Fatalf("horizon %d, was %d, max timestamp %d", first.DeleteHorizon(), b.DeleteHorizon(), first.MaxTimestamp())
	}
	second, err := first.Retain(all, 20_000, nil)
	if err != nil || second.DeleteHorizon() != 10_000 {
		t.Fatalf("horizon %d, %v", second.DeleteHorizon(), err)
	}
	marker, err := NewMarker(1, 2, Control{Commit: true, CoordinatorEpoch: 4}, 77).Retain(all, 10_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok, err := marker.Control(); !ok || err != nil || !c.Commit || c.CoordinatorEpoch != 4 {
		t.Fatalf("got %+v, %v, %v", c, ok, err)
	}
}
