package conformance

var fetchSessionErrors = Case{
	ID:          "fetch/session/2",
	Title:       "an unknown session is FETCH_SESSION_ID_NOT_FOUND, a wrong epoch INVALID_FETCH_SESSION_EPOCH",
	Requirement: "KIP-227; FetchManager.newContext",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 7)},
	Run: func(t *T) {
		log := t.oneLog()
		ghost := &session{topic: log.topic, id: 1234567, epoch: 1}
		t.code("a session nobody opened", ghost.fetch(t).code, codeFetchSessionIDNotFound)
		s := t.session(log)
		skipped := *s
		skipped.epoch += 5
		t.code("an epoch too far", skipped.fetch(t).code, codeInvalidFetchEpoch)
		t.code("the right epoch", s.fetch(t).code, codeNone)
	},
}
