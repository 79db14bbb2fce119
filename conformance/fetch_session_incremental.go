package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var fetchSessionIncremental = Case{
	ID:          "fetch/session/1",
	Title:       "in a fetch session only partitions with news are answered",
	Requirement: "KIP-227; FetchSession",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 7)},
	Run: func(t *T) {
		tp := t.together(2)
		s := t.session(tp.at(0), tp.at(1))
		t.equal("partitions of the first answer", s.count, 2)
		t.equal("partitions when nothing is new", s.fetch(t).count, 0)
		t.fill(tp.at(1), 1)
		news := s.fetch(t)
		t.equal("partitions after a produce", news.count, 1)
		t.equal("partition with news", news.last.Partition, 1)
		t.equal("high watermark told", news.last.HighWatermark, 1)
		moved := s.fetch(t, fetchPartition(tp.at(1), fetchCall{offset: 1}))
		t.equal("records behind the new position", len(moved.last.RecordBatches), 0)
		t.fill(tp.at(0), 1)
		both := s.fetch(t)
		t.equal("partitions after a produce to the other", both.count, 1)
		t.equal("partition with news", both.last.Partition, 0)
	},
}

// A session is a fetch session of one topic and its latest answer.
type session struct {
	topic *topic
	id    int32
	epoch int32
	count int // partitions answered
	last  kmsg.FetchResponseTopicPartition
	code  int16
}

// session opens a fetch session; the case is skipped where none are given,
// which is legal.
func (t *T) session(parts ...partition) *session {
	s := &session{topic: parts[0].topic}
	var asked []kmsg.FetchRequestTopicPartition
	for _, p := range parts {
		asked = append(asked, fetchPartition(p, fetchCall{}))
	}
	s.fetch(t, asked...)
	t.mustCode("Fetch of a new session", s.code, codeNone)
	if s.id == 0 {
		t.skipf("the broker gives no fetch sessions")
	}
	return s
}

// fetch asks for the next answer, with partitions added or moved.
func (s *session) fetch(t *T, parts ...kmsg.FetchRequestTopicPartition) *session {
	req := t.fetchRequest(s.topic.at(0), fetchCall{})
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	if len(parts) == 0 {
		req.Topics = nil
	} else {
		req.Topics[0].Partitions = parts
	}
	return s.read(ask[*kmsg.FetchResponse](t, s.topic.leaders[0], req))
}

func (s *session) read(resp *kmsg.FetchResponse) *session {
	s.code, s.count, s.last = resp.ErrorCode, 0, kmsg.FetchResponseTopicPartition{}
	if resp.ErrorCode != codeNone {
		return s
	}
	s.id = resp.SessionID
	s.epoch++
	for _, tp := range resp.Topics {
		for _, p := range tp.Partitions {
			s.count, s.last = s.count+1, p
		}
	}
	return s
}
