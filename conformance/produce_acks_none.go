package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var produceAcksNone = Case{
	ID:          "produce/acks/2",
	Title:       "acks=0 appends and answers nothing; an error closes the connection",
	Requirement: "KafkaApis.handleProduceRequest, acks == 0",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		c := t.dialNode(log.leader())
		silent := t.produceRequest(log, call{acks: at(0)}, plain("a").encode())
		if _, err := c.send(silent); err != nil {
			t.fatalf("Produce acks=0", "sent", "%v", err)
		}
		next := askOn[*kmsg.ApiVersionsResponse](t, c, t.versionsRequest(3))
		t.code("the next answer on the connection is ApiVersions", next.ErrorCode, codeNone)
		t.until("the record", func() (string, bool) { return "not there", t.highWatermark(log) == 1 })
		broken := plain("a")
		broken.spoil = func(raw []byte) { raw[atCRC]++ }
		silent = t.produceRequest(log, call{acks: at(0)}, broken.encode())
		if _, err := c.send(silent); err != nil {
			t.fatalf("Produce acks=0", "sent", "%v", err)
		}
		t.closed("after a broken batch with acks=0", c)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
