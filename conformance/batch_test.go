package conformance

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBatchReadsBackAsBuilt(t *testing.T) {
	sent := batch{timestamp: 5000, producerID: 7, producerEpoch: 3, baseSequence: 1<<31 - 1, transactional: true, values: []string{"a", "", "ccc"}}
	x := plain("x")
	x.timestamp = 6000
	got, err := readBatches(append(sent.encode(), x.encode()...))
	if err != nil {
		t.Fatal(err)
	}
	want := []stored{
		{lastOffset: 2, leaderEpoch: -1, producerID: 7, producerEpoch: 3, baseSequence: 1<<31 - 1, transactional: true,
			maxTimestamp: 5002, values: []string{"a", "", "ccc"}},
		{leaderEpoch: -1, producerID: -1, producerEpoch: -1, baseSequence: -1, maxTimestamp: 6000, values: []string{"x"}},
	}
	if d := cmp.Diff(got, want, cmp.AllowUnexported(stored{}, marker{})); d != "" {
		t.Error(d)
	}
}

func TestBatchIsWhatTheLibraryReads(t *testing.T) {
	raw := batch{producerID: 9, producerEpoch: 1, baseSequence: 4, key: "k", values: []string{"v"}}.encode()
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		t.Fatal(err)
	}
	if b.ProducerID != 9 || b.ProducerEpoch != 1 || b.FirstSequence != 4 || b.NumRecords != 1 || int(b.Length)+12 != len(raw) {
		t.Errorf("library reads %+v", b)
	}
	if want := crc32.Checksum(raw[atAttributes:], castagnoli); uint32(b.CRC) != want {
		t.Errorf("CRC %08x, want %08x", uint32(b.CRC), want)
	}
	var r kmsg.Record
	if err := r.ReadFrom(b.Records); err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != "k" || string(r.Value) != "v" {
		t.Errorf("record %q=%q, want k=v", r.Key, r.Value)
	}
}

func TestBentBatches(t *testing.T) {
	edited := plain("a")
	edited.edit = func(raw []byte) { binary.BigEndian.PutUint32(raw[atCount:], 5) }
	if _, err := readBatches(edited.encode()); err == nil {
		t.Error("a batch with a lying count reads back")
	}
	spoiled := plain("a")
	spoiled.spoil = func(raw []byte) { raw[atCRC]++ }
	if _, err := readBatches(spoiled.encode()); err == nil {
		t.Error("a batch with a wrong CRC reads back")
	}
	raw := plain("a").encode()
	if got, err := readBatches(raw[:len(raw)-1]); err != nil || len(got) != 0 {
		t.Errorf("a batch cut by the fetch limit: %v, %v; want none and no error", got, err)
	}
}

func TestControlBatchShowsItsMarker(t *testing.T) {
	raw := batch{producerID: 1, control: true, transactional: true, baseSequence: -1, key: "\x00\x00\x00\x01", values: []string{"\x00\x00\x00\x00\x00\x05"}}.encode()
	got, err := readBatches(raw)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if want := (marker{commit: true, coordinatorEpoch: 5}); got[0].marker != want {
		t.Errorf("marker %+v, want %+v", got[0].marker, want)
	}
}

func FuzzReadBatches(f *testing.F) {
	f.Add(plain("a", "b").encode())
	f.Add(batch{control: true, key: "abcd", values: []string{"abcdef"}}.encode())
	f.Fuzz(func(_ *testing.T, raw []byte) {
		// Any bytes give batches or an error.
		_, _ = readBatches(raw)
	})
}
