package conformance

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var fetchWaitBytes = Case{
	ID:          "fetch/wait/2",
	Title:       "a fetch waits until there are as many bytes as it wants, and takes what there is after its wait",
	Requirement: "DelayedFetch; fetch.min.bytes",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 1)
		one := len(t.fetch(log, fetchCall{}).RecordBatches)
		request := func(wait int32, atLeast int) *kmsg.FetchRequest {
			req := t.fetchRequest(log, fetchCall{wait: wait})
			req.MinBytes = int32(atLeast)
			return req
		}
		began := time.Now()
		short := t.readFetch(ask[*kmsg.FetchResponse](t, log.leader(), request(300, one+1)))
		t.equal("batches of too few bytes", len(short.batches), 1)
		t.record("wait", time.Since(began) >= 290*time.Millisecond, "300 ms", time.Since(began).String())
		began = time.Now()
		answer := send[*kmsg.FetchResponse](t, t.dialNode(log.leader()), request(30000, 3*one))
		t.fill(log, 2)
		t.equal("batches once there are enough", len(t.readFetch(answer()).batches), 3)
		t.record("wait", time.Since(began) < 10*time.Second, "below 10 s", time.Since(began).String())
	},
}
