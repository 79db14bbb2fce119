package protocol

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// repeated is a request of 8 MiB: an array, compact or not, of as many of these
// elements as there is room for.
func repeated(key, version int16, before string, compact bool, element string) []byte {
	const size = 8 << 20
	n := size / len(element)
	b := append(header(key, version), before...)
	if compact {
		b = binary.AppendUvarint(b, uint64(n)+1)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return append(b, bytes.Repeat([]byte(element), n)...)
}

// Decoding must not cost much more memory than the frame that asked for it.
// Without the shapes, kmsg takes 300 MiB and more for some of these frames.
func TestHostileCountsAllocateLittle(t *testing.T) {
	table := allOfKmsg(t)
	tests := []struct {
		name  string
		frame []byte
	}{
		{"count of elements that are too small", repeated(3, 12, "\x00", true, "\x01")},
		{"count in the second level", repeated(2, 6, "\x00\xff\xff\xff\xff\x00\x02\x02t", true, "\x01")},
		{"empty strings", repeated(9, 6, "\x00\x02g\x02\x02t", true, "\x01")},
		{"configs", repeated(44, 1, "\x00\x02\x02\x02t", true, "\x01")},
		{"null topics", repeated(3, 0, "", false, "\x00\x00")},
		{"unknown tags", append(append(header(3, 9), "\x00\x00\x01\x00\x00"...),
			append(binary.AppendUvarint(nil, 2<<20), bytes.Repeat([]byte("\x7f\x00"), 2<<20)...)...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := table.Serve(t.Context(), test.frame, nil)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrClose) {
				t.Fatalf("got %v", err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Fatalf("%d KiB allocated for a frame that was refused: %v", got>>10, err)
			}
		})
	}
}

// A request of 10 000 topics is large, but honest.
func TestLargeHonestRequestPasses(t *testing.T) {
	r := kmsg.NewPtrMetadataRequest()
	for range 100_000 {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr("t")
		r.Topics = append(r.Topics, topic)
	}
	for _, version := range []int16{0, 9, 12} {
		if _, err := allOfKmsg(t).Serve(t.Context(), requestFrame(r, version), nil); err != nil {
			t.Errorf("v%d: %v", version, err)
		}
	}
}

// What all requests are decoded to has a bound, until they are answered.
func TestDecodedRequestsHaveABound(t *testing.T) {
	var table *Table
	many := kmsg.NewPtrMetadataRequest()
	for range 10_000 {
		many.Topics = append(many.Topics, kmsg.NewMetadataRequestTopic())
	}
	var nested, refused int
	table, err := NewTable(On(0, 9, func(ctx context.Context, _ *kmsg.MetadataRequest, _ *kmsg.MetadataResponse) error {
		nested++ // each is served while those before are
		if _, err := table.Serve(ctx, requestFrame(many, 9), nil); errors.Is(err, ErrClose) {
			refused++
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	table.MaxDecoded = 3_000_000 // one takes 10 000 structures of less than 100 bytes
	for range 2 {                // the second finds nothing left behind
		nested, refused = 0, 0
		if _, err := table.Serve(t.Context(), requestFrame(many, 9), nil); err != nil {
			t.Fatal(err)
		}
		if nested < 3 || nested > 30 || refused != 1 {
			t.Errorf("%d requests were served at a time, %d refused, want a few and then one", nested, refused)
		}
	}
	if left := table.decoded.Load(); left != 0 {
		t.Errorf("%d bytes are counted with nothing to serve", left)
	}
}

// A compact length can say more than any string of Kafka's holds. Such a string
// would not fit into the int16 of a stored key.
func TestLongStringCloses(t *testing.T) {
	table := allOfKmsg(t)
	for size, want := range map[int]error{1<<15 - 1: nil, 1 << 15: ErrClose} {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Version, r.Group = 4, string(make([]byte, size))
		frame := r.AppendTo(append(header(12, 4), 0))
		if _, err := table.Serve(t.Context(), frame, nil); !errors.Is(err, want) {
			t.Errorf("%d bytes: got %v, want %v", size, err, want)
		}
	}
}
