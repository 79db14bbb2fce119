package conformance

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var readWaitOpen = Case{
	ID:          "read/wait/2",
	Title:       "a parked read_committed fetch sleeps through the records of an open transaction, and wakes when it is aborted",
	Requirement: "DelayedFetch completes when the last stable offset moves",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 1)
			began := time.Now()
			sleeping := send[*kmsg.FetchResponse](t, t.dialNode(log.leader()), t.fetchRequest(log, fetchCall{isolation: readCommitted, wait: 300}))
			p.append(log, 1)
			t.equal("batches while it is open", len(t.readFetch(sleeping()).batches), 0)
			t.record("wait", time.Since(began) >= 290*time.Millisecond, "300 ms", time.Since(began).String())
			began = time.Now()
			waking := send[*kmsg.FetchResponse](t, t.dialNode(log.leader()), t.fetchRequest(log, fetchCall{isolation: readCommitted, wait: 30000}))
			p.end(false)
			f := t.readFetch(waking())
			t.equal("batches once it is aborted, its marker among them", len(f.batches), 3)
			t.equal("records shown", len(visible(f)), 0)
			t.record("wait", time.Since(began) < 10*time.Second, "below 10 s", time.Since(began).String())
		}
	},
}
