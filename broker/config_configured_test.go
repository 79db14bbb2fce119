package broker_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
)

// A configured topic is alone on its broker.
type configured struct {
	*testing.T
	s     *brokertest.Server
	c     *kgo.Client
	admin *kadm.Client
}

// write produces one record and returns what the broker said.
func (w *configured) write(r kgo.Record) error {
	r.Topic = "t"
	if r.Value == nil && r.Key == nil {
		r.Value = []byte("value")
	}
	return w.c.ProduceSync(w.Context(), &r).FirstErr()
}

// must produces one record.
func (w *configured) must(r kgo.Record) {
	w.Helper()
	if err := w.write(r); err != nil {
		w.Fatal(err)
	}
}

// refused says whether one record is refused for a reason.
func (w *configured) refused(r kgo.Record, why *kerr.Error) bool {
	w.Helper()
	err := w.write(r)
	if err != nil && !errors.Is(err, why) {
		w.Fatal(err)
	}
	return err != nil
}

// segments lists the sizes of the partition's files with a suffix, by base offset.
func (w *configured) segments(suffix string) (names []string) {
	w.Helper()
	entries, err := w.s.FS.ReadDir(w.folder())
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, filepath.Join(w.folder(), e.Name()))
		}
	}
	return names
}

func (w *configured) folder() string {
	w.Helper()
	topics, err := w.admin.ListTopics(w.Context(), "t")
	if err != nil {
		w.Fatal(err)
	}
	return filepath.Join("data", replication.PartitionID{TopicID: topics["t"].ID}.String())
}

// stored reads the first batch as it lies on the disk.
func (w *configured) stored() record.Batch {
	w.Helper()
	file, err := w.s.FS.OpenFile(w.segments(".log")[0], 0, 0)
	if err != nil {
		w.Fatal(err)
	}
	defer file.Close()
	all, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	if err != nil {
		w.Fatal(err)
	}
	b, err := record.Peek(all)
	if err != nil || b.CRC() != b.Checksum() {
		w.Fatalf("stored batch: %v", err)
	}
	return b
}

// size is that of a file.
func (w *configured) size(name string) int64 {
	w.Helper()
	info, err := w.s.FS.Stat(name)
	if err != nil {
		w.Fatal(err)
	}
	return info.Size()
}

// logStart is where the partition begins.
func (w *configured) logStart() int64 {
	w.Helper()
	offsets, err := w.admin.ListStartOffsets(w.Context(), "t")
	if err != nil {
		w.Fatal(err)
	}
	o, _ := offsets.Lookup("t", 0)
	return o.Offset
}

// offsets lists what a reader finds, up to the last record that was written.
func (w *configured) offsets() (list []int64) {
	w.Helper()
	ends, err := w.admin.ListEndOffsets(w.Context(), "t")
	if err != nil {
		w.Fatal(err)
	}
	end, _ := ends.Lookup("t", 0)
	c := client(w.T, w.s, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	defer c.Close()
	for next := w.logStart(); next < end.Offset; next = list[len(list)-1] + 1 {
		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		f := c.PollFetches(ctx)
		cancel()
		if err := f.Err(); err != nil {
			w.Fatalf("after %v: %v", list, err)
		}
		f.EachRecord(func(r *kgo.Record) { list = append(list, r.Offset) })
	}
	return list
}

// roll lets the active segment be sealed, where segment.ms is a minute.
func (w *configured) roll() {
	w.Helper()
	time.Sleep(2 * time.Minute)
	w.must(kgo.Record{Key: []byte("filler")})
}

// unverified says whether a transactional batch is stored in a partition that was
// not added to the transaction, as Kafka before 3.6 stored it.
func (w *configured) unverified() bool {
	w.Helper()
	c := client(w.T, w.s, kgo.MaxVersions(kversion.V3_7_0()))
	id := "txn"
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys, find.CoordinatorType = []string{id}, 1
	if _, err := find.RequestWith(w.Context(), c); err != nil {
		w.Fatal(err)
	}
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis = &id, 60_000
	got, err := begin.RequestWith(w.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(got.ErrorCode)
	}
	if err != nil {
		w.Fatal(err)
	}
	b := record.NewBuilder(record.BuilderOptions{ProducerID: got.ProducerID, ProducerEpoch: got.ProducerEpoch, Transactional: true})
	b.Append(record.Record{Timestamp: time.Now().UnixMilli(), Value: []byte("v")})
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &id, -1, 5000
	topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	partition.Records = b.Build()
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	if err != nil && !errors.Is(err, kerr.InvalidTxnState) {
		w.Fatal(err)
	}
	return err == nil
}

// superseded writes two records of a key, and says whether the first is gone ten
// minutes after they were sealed.
func (w *configured) superseded() bool {
	w.Helper()
	w.must(kgo.Record{Key: []byte("k"), Value: []byte("1")})
	w.must(kgo.Record{Key: []byte("k"), Value: []byte("2")})
	w.roll()
	time.Sleep(10 * time.Minute)
	return !slices.Contains(w.offsets(), 0)
}
