package verify

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

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

// The two ends of a log that two leaders told are not told by one of them.
func TestEndsToldByTwoLeaders(t *testing.T) {
	listed := func(offset int64, epoch int32) kadm.ListedOffset {
		return kadm.ListedOffset{Topic: "t", Partition: 2, Offset: offset, LeaderEpoch: epoch}
	}
	both := Event{Kind: Watermark, Topic: "t", Partition: 2, HighWatermark: 7, LastStable: 5, LeaderEpoch: 80}
	if got := endsTold(listed(7, 80), listed(5, 80)); !reflect.DeepEqual(got, []Event{both}) {
		t.Errorf("one leader told %+v", got)
	}
	high, stable := both, both
	high.LastStable = -1
	stable.HighWatermark, stable.LeaderEpoch = -1, 79
	if got := endsTold(listed(7, 80), listed(5, 79)); !reflect.DeepEqual(got, []Event{high, stable}) {
		t.Errorf("two leaders told %+v", got)
	}
}
