package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var fetchSessionForget = Case{
	ID:          "fetch/session/3",
	Title:       "a forgotten partition is answered no more; closing ends the session",
	Requirement: "KIP-227; FetchSession.update",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 7)},
	Run: func(t *T) {
		tp := t.together(2)
		s := t.session(tp.at(0), tp.at(1))
		req := t.fetchRequest(tp.at(0), fetchCall{})
		req.SessionID, req.SessionEpoch, req.Topics = s.id, s.epoch, nil
		forgotten := kmsg.NewFetchRequestForgottenTopic()
		forgotten.Topic, forgotten.TopicID, forgotten.Partitions = tp.name, tp.id, []int32{0}
		req.ForgottenTopics = append(req.ForgottenTopics, forgotten)
		t.code("Fetch that forgets partition 0", s.read(ask[*kmsg.FetchResponse](t, tp.leaders[0], req)).code, codeNone)
		t.fill(tp.at(0), 1)
		t.equal("partitions after a produce to the forgotten one", s.fetch(t).count, 0)
		t.fill(tp.at(1), 1)
		t.equal("partitions after a produce to the other", s.fetch(t).count, 1)

		closing := t.fetchRequest(tp.at(0), fetchCall{})
		closing.SessionID, closing.SessionEpoch, closing.Topics = s.id, -1, nil
		end := ask[*kmsg.FetchResponse](t, tp.leaders[0], closing)
		t.code("Fetch that closes the session", end.ErrorCode, codeNone)
		t.code("Fetch of the closed session", s.fetch(t).code, codeFetchSessionIDNotFound)
	},
}
