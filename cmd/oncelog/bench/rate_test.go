package bench

import (
	"testing"
	"time"
)

func TestScheduleKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 3, 7.5, 1000, 44_100, 1e6} {
		s := schedule{rate}
		for _, seconds := range []int64{0, 2, 60, 86_400} {
			n := int64(rate * float64(seconds))
			if got, want := s.due(n), time.Duration(seconds)*time.Second; got != want {
				t.Errorf("at %g a second number %d is due after %v, want %v", rate, n, got, want)
			}
		}
		for n := range int64(10_000) {
			gap := s.due(n+1) - s.due(n)
			if want := time.Duration(float64(time.Second) / rate); gap < want-2 || gap > want+2 {
				t.Fatalf("at %g a second number %d comes %v after the one before, want %v", rate, n+1, gap, want)
			}
		}
	}
}

func TestAbortsAreTheShareAskedFor(t *testing.T) {
	for _, ratio := range []float64{0, 0.1, 0.25, 0.5, 0.9, 1} {
		aborted := 0
		for n := range int64(1000) {
			if aborts(n, ratio) {
				aborted++
			}
			if exact := float64(n+1) * ratio; float64(aborted) > exact || float64(aborted) < exact-1 {
				t.Fatalf("ratio %g: %d of the first %d", ratio, aborted, n+1)
			}
		}
	}
}
