package conformance

var topicDeleteRecreate = Case{
	ID:          "topic/delete/2",
	Title:       "a topic made again has a new id and shows nothing of the old one",
	Requirement: "KIP-516; topic ids",
	Level:       Must,
	Needs:       []Need{api(keyProduce, 13), api(keyFetch, 13)},
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 3 {
			p.append(log, 1)
		}
		old := *log.topic
		t.mustCode("DeleteTopics", t.deleteTopic(log.topic), codeNone)
		t.gone(log.topic)
		fresh := &topic{name: old.name}
		t.makeTopic(fresh, 1)
		log = fresh.at(0)
		t.record("topic id", fresh.id != old.id, "another", "the same")
		t.equal("earliest", t.listOffset(log, offsetEarliest, readUncommitted).Offset, 0)
		t.equal("latest", t.highWatermark(log), 0)
		t.equal("bytes", len(t.fetch(log, fetchCall{}).RecordBatches), 0)
		t.code("produce to the old id", t.produce(old.at(0), call{}, plain("late")).ErrorCode, codeUnknownTopicID)
		t.code("fetch of the old id", t.fetch(old.at(0), fetchCall{}).ErrorCode, codeUnknownTopicID)
		again := p.send(log, 0, 1)
		t.code("sequence 0 of the producer of before", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 0)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
