package conformance

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var readWaitCommit = Case{
	ID:          "read/wait/1",
	Title:       "a parked read_committed fetch wakes when the transaction commits",
	Requirement: "DelayedFetch completes when the last stable offset moves",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 1)
			c := fetchCall{isolation: readCommitted, wait: 30000}
			answer := send[*kmsg.FetchResponse](t, t.dialNode(log.leader()), t.fetchRequest(log, c))
			started := time.Now()
			p.end(true)
			t.equal("records shown", len(visible(t.readFetch(answer()))), 1)
			t.record("wait", time.Since(started) < 10*time.Second, "below 10 s", time.Since(started).String())
		}
	},
}
