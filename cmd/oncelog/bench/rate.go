package bench

import (
	"context"
	"time"
)

// A schedule says when the things to be sent are due, whatever became of those
// before: an open loop. A broker that stalls makes later ones late, and that
// time is theirs too, so nothing is left out of the latencies by not being sent.
type schedule struct {
	rate float64 // a second; 0: each is due when its turn comes
}

// due is the time of the nth since the start of the run. It is reckoned from n
// alone, so that errors do not add up.
func (s schedule) due(n int64) time.Duration {
	whole := n / int64(max(1, s.rate))
	if s.rate < 1 || s.rate != float64(int64(s.rate)) {
		return time.Duration(float64(n) / s.rate * float64(time.Second))
	}
	rest := n - whole*int64(s.rate)
	return time.Duration(whole)*time.Second + time.Duration(float64(rest)/s.rate*float64(time.Second))
}

// aborts says whether the nth of a producer's transactions is to be aborted:
// evenly spread, and of the first n exactly the share that ratio says.
func aborts(n int64, ratio float64) bool {
	return int64(float64(n+1)*ratio) > int64(float64(n)*ratio)
}

// coarse is how early a timer ends the wait for something due; the rest is
// waited for more exactly than Go's timers do.
const coarse = 2 * time.Millisecond

// sleepUntil waits until at and says whether it came before ctx ended.
func sleepUntil(ctx context.Context, at time.Time) bool {
	left := time.Until(at)
	if left > coarse {
		timer := time.NewTimer(left - coarse)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		left = time.Until(at)
	}
	if left > 0 {
		preciseSleep(left)
	}
	return true
}
