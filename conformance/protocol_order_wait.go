package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var protocolOrderWait = Case{
	ID:          "protocol/order/2",
	Title:       "a parked request holds the answers behind it on its connection, not on others",
	Requirement: "SocketServer mutes a connection until its request is answered",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		c := t.dialNode(log.leader())
		parked := send[*kmsg.FetchResponse](t, c, t.fetchRequest(log, fetchCall{wait: 20000}))
		behind := send[*kmsg.ApiVersionsResponse](t, c, t.versionsRequest(3))
		t.fill(log, 1) // on another connection
		t.equal("batches of the parked fetch", len(t.readFetch(parked()).batches), 1)
		t.code("the request behind it", behind().ErrorCode, codeNone)
	},
}
