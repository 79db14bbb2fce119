package broker_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// created is a CreateTopics of one topic, changed.
func created(change func(*hostile, *kmsg.CreateTopicsRequestTopic)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		r := creation(h.topic+"-new", 1)
		change(h, &r.Topics[0])
		return frame(r)
	}
}

func named(name string) func(*hostile) []byte {
	return created(func(_ *hostile, t *kmsg.CreateTopicsRequestTopic) { t.Topic = name })
}

func parts(n int32) func(*hostile) []byte {
	return created(func(_ *hostile, t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = n })
}

func TestHostileTopics(t *testing.T) {
	play(t, []hostileRow{
		{number: 25, what: "topic ..", send: named(".."), want: code(17)},
		{number: 26, what: "topic .", send: named("."), want: code(17)},
		{number: 27, what: "topic ../../etc/x", send: named("../../etc/x"), want: code(17)},
		{number: 28, what: "topic without a name", send: named(""), want: code(17)},
		{number: 29, what: "topic of 250 characters", send: named(strings.Repeat("x", 250)), want: code(17)},
		{number: 30, what: "topic of 249 characters", want: code(0), send: created(func(h *hostile, t *kmsg.CreateTopicsRequestTopic) {
			t.Topic = h.topic + strings.Repeat("x", 249-len(h.topic))
		})},
		{number: 31, what: "topic with NUL", send: named("a\x00b"), want: code(17)},
		{number: 31, what: "topic with a newline", send: named("a\nb"), want: code(17)},
		{number: 32, what: "0 partitions", send: parts(0), want: code(37)},
		{number: 33, what: "-7 partitions", send: parts(-7), want: code(37)},
		{number: 34, what: "replication factor 99", send: created(func(_ *hostile, t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 99 }), want: code(38)},
		{number: 35, what: "a topic that exists", send: created(func(h *hostile, t *kmsg.CreateTopicsRequestTopic) { t.Topic = h.topic }), want: code(36)},
		{number: 109, what: "10001 partitions at once", send: parts(10_001), want: code(44)},
		{number: 109, what: "2147483647 partitions", send: parts(1<<31 - 1), want: code(44)},
	})
}
