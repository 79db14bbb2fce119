package proxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oncelog/oncelog/broker/fault"
	"github.com/oncelog/oncelog/conformance/wire"
)

// Told is a message as people and programs read it, decoded and without secrets.
type Told struct {
	Time time.Time `json:"time"`
	wire.Entry
	Node   int32  `json:"node"`
	Fault  string `json:"fault,omitempty"`  // the rule that hits it
	Missed int64  `json:"missed,omitempty"` // messages before this one that the reader was too slow for
	Text   string `json:"text,omitempty"`   // all of it in one line

	event *fault.Event
}

// Next waits for a message. One goroutine calls it.
func (w *Watcher) Next(ctx context.Context) (Told, error) {
	var m Message
	select {
	case m = <-w.c:
	case <-ctx.Done():
		return Told{}, ctx.Err()
	}
	w.n++
	t := Told{Time: m.At, Node: m.Event.Node, Missed: w.missed.Swap(0), event: m.Event}
	t.Entry = w.decoder.Decode(wire.Frame{Conn: int(m.Conn), Address: m.Peer, Answer: m.Answer, Size: m.Size, Raw: m.Raw})
	t.N, t.Millis, t.ClientID = w.n, float64(m.At.Sub(w.began).Microseconds())/1000, m.Event.ClientID
	t.API, t.Key, t.Version = m.Event.API(), m.Event.Key, m.Event.Version
	t.Raw = "" // of what could not be decoded nobody knows whether it is a secret
	if m.Hit != nil {
		t.Fault = fmt.Sprintf("rule %s: %s", m.Hit.RuleID, m.Hit.Rule)
	}
	return t, nil
}

// Line is the message in one line.
func (t *Told) Line() string {
	var b strings.Builder
	arrow := "->"
	if t.Direction == "answer" {
		arrow = "<-"
	}
	fmt.Fprintf(&b, "%s #%d %s %s node %d  %s", t.Time.Format("15:04:05.000"), t.Conn, t.ClientID, arrow, t.Node, t.What())
	if t.Direction == "request" && t.event != nil {
		b.WriteString(about(t.event))
	}
	if codes := slices.Compact(slices.Clone(t.Codes)); len(codes) > 0 {
		b.WriteString("  " + strings.Join(codes, " "))
	}
	fmt.Fprintf(&b, "  %d bytes", t.Bytes)
	for _, note := range []string{t.Problem, t.Fault} {
		if note != "" {
			b.WriteString("  ! " + note)
		}
	}
	if t.Missed > 0 {
		fmt.Fprintf(&b, "  ! %d before it are not shown: this reader is slow", t.Missed)
	}
	return b.String()
}

// about says what a request is about.
func about(e *fault.Event) string {
	var b strings.Builder
	if e.TransactionalID != "" {
		fmt.Fprintf(&b, "  txid %s", e.TransactionalID)
	}
	if len(e.Groups) > 0 {
		fmt.Fprintf(&b, "  group %s", strings.Join(e.Groups, ","))
	}
	if e.ProducerID >= 0 {
		fmt.Fprintf(&b, "  pid %d/%d", e.ProducerID, e.ProducerEpoch)
	}
	const most = 4
	for i, p := range e.Parts {
		if i == most {
			fmt.Fprintf(&b, "  and %d more", len(e.Parts)-most)
			break
		}
		b.WriteString("  " + p.Topic)
		if p.Partition >= 0 {
			fmt.Fprintf(&b, "-%d", p.Partition)
		}
		if p.Sequence >= 0 {
			fmt.Fprintf(&b, " seq %d", p.Sequence)
		}
	}
	return b.String()
}
