package bench

import (
	"syscall"
	"time"
)

// preciseSleep asks the kernel itself: Go's own timers end up to a millisecond
// late when nothing else wakes the process, since they wait in epoll. A signal
// may end it early, by which a record goes out as early.
func preciseSleep(d time.Duration) {
	spec := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&spec, nil)
}
