package broker_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/log/vfs"
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

// A slowDisk takes its time to make a partition's folder.
type slowDisk struct{ vfs.FS }

func (d slowDisk) Mkdir(name string, perm fs.FileMode) error {
	time.Sleep(3 * time.Second)
	return d.FS.Mkdir(name, perm)
}

// One Metadata request makes topics for ten seconds; those it did not come to
// are answered LEADER_NOT_AVAILABLE and not made, so that nobody keeps a broker
// making topics by one request, and the client asks again.
func TestMetadataCreatesForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{FS: slowDisk{vfs.NewMem()}})
		c, err := s.Dial(t.Context(), "tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h := &hostile{T: t, honest: c}
		r := kmsg.NewPtrMetadataRequest()
		r.Version, r.AllowAutoTopicCreation = 8, true
		for i := range 20 {
			r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(fmt.Sprint("new-", i))})
		}
		sent := frame(r)
		began := time.Now()
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		_, answer := h.result(c, sent)
		if took := time.Since(began); took < 10*time.Second || took > 15*time.Second {
			t.Errorf("answered after %v, want 10 s and the time of one topic at most", took)
		}
		made, refused := 0, 0
		for _, topic := range answer.(*kmsg.MetadataResponse).Topics {
			switch topic.ErrorCode {
			case 0:
				made++
			case kerr.LeaderNotAvailable.Code:
				refused++
			default:
				t.Errorf("%s: %v", *topic.Topic, kerr.ErrorForCode(topic.ErrorCode))
			}
		}
		time.Sleep(5 * time.Minute) // nothing goes on behind the answer
		all := kmsg.NewPtrMetadataRequest()
		all.Version = 8
		there := len(h.ask(all).(*kmsg.MetadataResponse).Topics)
		if made == 0 || made+refused != len(r.Topics) || there > made+1 {
			t.Errorf("%d made, %d refused, %d there afterwards", made, refused, there)
		}
	})
}
