package conformance

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var fetchWaitAppend = Case{
	ID:          "fetch/wait/1",
	Title:       "a parked fetch wakes on a produce, or answers empty after its wait",
	Requirement: "DelayedFetch; fetch.min.bytes, fetch.max.wait.ms",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		answer := send[*kmsg.FetchResponse](t, t.dialNode(log.leader()), t.fetchRequest(log, fetchCall{wait: 30000}))
		started := time.Now()
		t.fill(log, 1)
		t.equal("batches", len(t.readFetch(answer()).batches), 1)
		t.record("wait", time.Since(started) < 10*time.Second, "below 10 s", time.Since(started).String())
		started = time.Now()
		empty := t.fetch(log, fetchCall{offset: 1, wait: 200})
		t.code("fetch with nothing to come", empty.ErrorCode, codeNone)
		t.equal("batches", len(empty.batches), 0)
		t.record("wait", time.Since(started) >= 190*time.Millisecond, "200 ms", time.Since(started).String())
	},
}
