package conformance

var topicDeleteTransaction = Case{
	ID:          "topic/delete/3",
	Title:       "a transaction whose topic was deleted still ends, and its id goes on",
	Requirement: "TransactionMarkerChannelManager drops partitions that are gone",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			gone, kept := t.oneLog(), t.oneLog()
			p := t.transactional(tv).begin(gone, kept)
			p.append(gone, 1)
			p.append(kept, 1)
			t.mustCode("DeleteTopics", t.deleteTopic(gone.topic), codeNone)
			t.gone(gone.topic)
			p.endSettled(true, kept)
			p.begin(kept)
			p.append(kept, 1)
			p.endSettled(true, kept)
			t.equal("records shown", len(t.committed(kept)), 2)
		}
	},
}
