package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var protocolOrderPipeline = Case{
	ID:          "protocol/order/1",
	Title:       "requests sent without waiting are answered in their order",
	Requirement: "SocketServer processes one request of a connection at a time",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		c := t.dialNode(log.leader())
		var answers []func() *kmsg.ProduceResponse
		for i := range 50 {
			answers = append(answers, send[*kmsg.ProduceResponse](t, c, t.produceRequest(log, call{}, plain(fmt.Sprint(i)).encode())))
		}
		for i, answer := range answers {
			one := t.produced(answer())
			t.mustCode("Produce", one.ErrorCode, codeNone)
			t.equal("base offset", one.BaseOffset, i)
		}
	},
}
