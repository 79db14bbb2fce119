package bench

import (
	"testing"
	"time"
)

func TestStreamJudgesSequences(t *testing.T) {
	for _, test := range []struct {
		name    string
		came    []int64
		last    verdict
		written int64
		lacks   int64
	}{
		{"all in order", []int64{0, 1, 2}, inOrder, 3, 0},
		{"the end is missing", []int64{0, 1}, inOrder, 5, 3},
		{"nothing came", nil, inOrder, 4, 4},
		{"a gap", []int64{0, 3}, early, 4, 2},
		{"a gap closed from below", []int64{0, 3, 1}, late, 4, 1},
		{"a gap closed from above", []int64{0, 3, 2, 1}, late, 4, 0},
		{"a gap split", []int64{5, 2}, late, 6, 4},
		{"again", []int64{0, 1, 0}, duplicate, 2, 0},
		{"late, and again", []int64{0, 2, 1, 1}, duplicate, 3, 0},
		{"more came than were acknowledged", []int64{0, 1, 2, 3}, inOrder, 2, 0},
		{"a gap above what was acknowledged", []int64{0, 5}, early, 3, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s stream
			last := inOrder
			for _, sequence := range test.came {
				last = s.see(sequence)
			}
			if last != test.last {
				t.Errorf("the last is judged %d, want %d", last, test.last)
			}
			if got := s.lacks(test.written); got != test.lacks {
				t.Errorf("lacks %d of %d, want %d", got, test.written, test.lacks)
			}
		})
	}
}

func TestFormKnowsItsRecords(t *testing.T) {
	f := newForm(7, 64)
	value := f.value()
	want := stamp{producer: 3, flags: flagLast, sequence: 1 << 40, due: time.Hour}
	f.put(value, want)
	if got, ours, whole := f.parse(value); got != want || !ours || !whole {
		t.Errorf("got %+v, ours %t, whole %t", got, ours, whole)
	}
	if _, ours, _ := newForm(8, 64).parse(value); ours {
		t.Error("another run takes the record for its own")
	}
	value[63]++
	if _, ours, whole := f.parse(value); !ours || whole {
		t.Errorf("a changed byte: ours %t, whole %t", ours, whole)
	}
	if _, ours, whole := f.parse(value[:50]); !ours || whole {
		t.Errorf("cut short: ours %t, whole %t", ours, whole)
	}
}

// TestMeterLeavesNoStallOut puts a stall at the end of the measured time: what was
// due in it counts as latency, though it is done later.
func TestMeterLeavesNoStallOut(t *testing.T) {
	m := newMeter()
	m.from, m.to = time.Second, 4*time.Second
	m.done("ack", 900*time.Millisecond, 1100*time.Millisecond, 1, 100)  // due in the warm-up
	m.done("ack", 1200*time.Millisecond, 1300*time.Millisecond, 1, 100) // second 0
	m.done("ack", 1900*time.Millisecond, 3100*time.Millisecond, 1, 100) // second 2, second 1 is empty
	m.done("ack", 3900*time.Millisecond, 9*time.Second, 1, 100)         // after the end
	r := Report{Bench: Produce}
	m.fill(&r)
	if r.Seconds != 3 || r.Records != 3 || r.Bytes != 300 || r.RecordsPerSecond != 1 {
		t.Errorf("%+v", r)
	}
	if l := r.Latency["ack"]; l.Count != 3 || l.Max < 5100 || l.Max > 5110 || l.P50 < 1200 || l.P50 > 1201 {
		t.Errorf("latency %+v, want 100, 1200 and 5100 ms", l)
	}
	if len(r.Series) != 3 || r.Series[0].Records != 2 || r.Series[1].Records != 0 || r.Series[2].Records != 1 || r.Series[2].P50 < 1200 {
		t.Errorf("series %+v", r.Series)
	}
}
