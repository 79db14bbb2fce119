package txn

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type instantMarkers struct{}

func (instantMarkers) WriteMarker(context.Context, Marker) error { return nil }

// BenchmarkTransaction is the coordinator's part of a transaction of KIP-890 over
// one partition, with its two waits for the markers of the one before.
func BenchmarkTransaction(b *testing.B) {
	w := newWorld(b, func(c *Config) { c.Markers = instantMarkers{} })
	p := w.init("a")
	r := EnsureRequest{TransactionalID: "a", Participants: []Participant{orders(0)}, API: kmsg.Produce, Version: 12}
	b.ReportAllocs()
	for b.Loop() {
		r.ProducerID, r.ProducerEpoch = p.ID, p.Epoch
		if err := w.c.Ensure(b.Context(), r)[0]; err != nil {
			b.Fatal(err)
		}
		next, err := w.end("a", p, true, 5)
		if err != nil {
			b.Fatal(err)
		}
		p = next
	}
}

// BenchmarkEnsure is the question of a further batch of an open transaction.
func BenchmarkEnsure(b *testing.B) {
	w := newWorld(b, nil)
	p := w.init("a")
	r := EnsureRequest{TransactionalID: "a", ProducerID: p.ID, ProducerEpoch: p.Epoch, Participants: []Participant{orders(0)}, API: kmsg.Produce, Version: 12}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.c.Ensure(b.Context(), r)[0]; err != nil {
			b.Fatal(err)
		}
	}
}
