package verify

import "testing"

// A partition waits from its first record, and whenever all is well again, until a
// record is acknowledged in it; those that pipelines write to are counted apart.
func TestTallyOfPartitionsThatWait(t *testing.T) {
	r := NewRecorder()
	for i, step := range []struct {
		e              Event
		waiting, piped int
	}{
		{Event{Kind: Send, Topic: "t", Value: "a"}, 1, 0},
		{Event{Kind: Send, Topic: "t", Value: "b"}, 1, 0},
		{Event{Kind: Send, Topic: "t", Partition: 1, Value: "c"}, 2, 0},
		{Event{Kind: Send, Topic: "made", Value: "d", Source: "a"}, 2, 1},
		{Event{Kind: Ack, Topic: "t", Value: "a"}, 1, 1},
		{Event{Kind: Healed}, 2, 1},
		{Event{Kind: Ack, Topic: "t", Value: "b"}, 1, 1},
		{Event{Kind: Ack, Topic: "made", Value: "d", Source: "a"}, 1, 0},
		{Event{Kind: Ack, Topic: "t", Partition: 1, Value: "c"}, 0, 0},
		{Event{Kind: Healed}, 2, 1},
	} {
		r.Add(step.e)
		if got := r.Tally(); got.Waiting != step.waiting || got.Piped != step.piped {
			t.Errorf("step %d, %s: %d wait, %d of pipelines; want %d and %d", i, step.e.Kind, got.Waiting, got.Piped, step.waiting, step.piped)
		}
	}
}
