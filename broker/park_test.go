package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/record"
)

// hard-31: requests to a partition that nobody leads yet wait up to 500 ms for
// its leader. Then they are told, each in its own way. Here no vote can be
// stored, for a time or for long.
func TestHard31RequestsWaitForALeader(t *testing.T) {
	listing := func(version int16) func(*testing.T, *Broker, *topic) int16 {
		return func(t *testing.T, b *Broker, _ *topic) int16 {
			r := kmsg.NewPtrListOffsetsRequest()
			rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp = latest
			rt.Topic, rt.Partitions = "t", []kmsg.ListOffsetsRequestTopicPartition{rp}
			r.Version, r.Topics = version, []kmsg.ListOffsetsRequestTopic{rt}
			return ask(t, b, r, kmsg.NewPtrListOffsetsResponse()).Topics[0].Partitions[0].ErrorCode
		}
	}
	for name, c := range map[string]struct {
		ask  func(*testing.T, *Broker, *topic) int16
		late int16 // what it is told after 500 ms
	}{
		"Produce": {func(t *testing.T, b *Broker, _ *topic) int16 {
			return put(t, b, "t", 0, batchOf(record.NoProducer(), "a"), nil).ErrorCode
		}, kerr.KafkaStorageError.Code},
		"Fetch": {func(t *testing.T, b *Broker, topic *topic) int16 {
			r := getting(12, topic, 0)
			r.MaxWaitMillis = 2000
			r.MinBytes = 0
			return ask(t, b, r, kmsg.NewPtrFetchResponse()).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotLeaderForPartition.Code},
		"ListOffsets 4": {listing(4), kerr.LeaderNotAvailable.Code},
		"ListOffsets 5": {listing(5), kerr.OffsetNotAvailable.Code},
	} {
		for _, back := range []time.Duration{200 * time.Millisecond, time.Hour} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, topic := withoutLeader(t, back)
					began := time.Now()
					code := c.ask(t, b, topic)
					took := time.Since(began)
					switch {
					case back > parkTime && (code != c.late || took != parkTime):
						t.Errorf("no leader: %v after %v, want %v after %v", kerr.ErrorForCode(code), took, kerr.ErrorForCode(c.late), parkTime)
					case back < parkTime && (code != 0 || took < back || took >= parkTime):
						t.Errorf("a leader after %v: %v after %v", back, kerr.ErrorForCode(code), took)
					}
				})
			})
		}
	}
}

// A topic of many partitions may take long to be led by all its leaders: who asks
// for one waits as long as its request says, and no less.
func TestCreateTopicsWaitsAsLongAsItIsAskedTo(t *testing.T) {
	const led = 12 * time.Second // more than what is waited for without being asked
	for _, test := range []struct {
		timeout time.Duration
		code    int16
	}{
		{time.Minute, 0},
		{led / 2, kerr.RequestTimedOut.Code},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := withoutLeader(t, led)
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.TimeoutMillis = 7, int32(test.timeout.Milliseconds())
			req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "many", NumPartitions: 3, ReplicationFactor: 1}}
			began := time.Now()
			made := ask(t, b, req, kmsg.NewPtrCreateTopicsResponse()).Topics[0]
			took := time.Since(began)
			if made.ErrorCode != test.code || made.ErrorCode == 0 && took < led || made.ErrorCode != 0 && took != test.timeout {
				t.Errorf("leaders after %v, asked to wait %v: %v after %v, want %v", led, test.timeout, kerr.ErrorForCode(made.ErrorCode), took, kerr.ErrorForCode(test.code))
			}
		})
	}
}

// withoutLeader starts a broker with a topic whose partition gets a leader only
// after a time, when the disk takes votes again.
func withoutLeader(t *testing.T, back time.Duration) (*Broker, *topic) {
	t.Helper()
	disk, network := vfs.NewErr(vfs.NewMem()), memnet.New()
	b, err := Open(t.Context(), Config{FS: disk, Listen: network.Listen, Dial: network.Dial})
	if err != nil {
		t.Fatal(err)
	}
	disk.SetRules(vfs.Rule{Op: vfs.OpSync, Pattern: "raft.slots", Error: vfs.EIO})
	time.AfterFunc(back, func() { disk.SetRules() })
	made := make(chan struct{})
	go func() {
		defer close(made)
		_ = b.EnsureTopic(context.Background(), "t", 1) // it may say that nobody leads it
	}()
	t.Cleanup(func() {
		disk.SetRules()
		<-made
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	topic, ok := b.topics.load().byName("t")
	if !ok || topic.partitions[0] == nil || topic.partitions[0].Leadership().Leader >= 0 {
		t.Fatal("the partition is not as this test needs it")
	}
	return b, topic
}
