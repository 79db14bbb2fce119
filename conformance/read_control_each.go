package conformance

import "fmt"

var readControlEach = Case{
	ID:          "read/control/2",
	Title:       "every partition of a transaction gets one marker for it",
	Requirement: "KIP-98; TransactionMarkerChannelManager (Kafka may repeat a marker after a lost answer)",
	Level:       Should,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			tp := t.newTopic(3)
			p := t.transactional(tv)
			all := []partition{tp.at(0), tp.at(1), tp.at(2)}
			for _, commit := range []bool{true, false, true} {
				p.begin(all...)
				for _, log := range all {
					p.append(log, 1)
				}
				p.endSettled(commit, all...)
			}
			for _, log := range all {
				var ends []bool
				for _, m := range t.markers(log) {
					ends = append(ends, m.marker.commit)
				}
				t.equal("markers commit", fmt.Sprint(ends), "[true false true]")
				t.equal("records shown", len(t.committed(log)), 2)
			}
		}
	},
}
