package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// A judge compares a broker that was started again with a history.
type judge struct {
	t     *testing.T
	h     *history
	at    int
	s     *brokertest.Server
	c     *kgo.Client
	admin *kadm.Client
}

func (j *judge) run() {
	j.t.Helper()
	ids := j.topics()
	seen := map[string]map[int64]*kgo.Record{}
	for name := range ids {
		seen[name] = j.read(name)
	}
	for name, id := range ids {
		j.records(name, id, seen[name])
	}
	j.transactions(ids, seen)
	j.offsets(ids)
	j.producerIDs()
	if _, ok := ids["plain"]; ok {
		if err := j.c.ProduceSync(j.t.Context(), &kgo.Record{Topic: "plain", Value: []byte("and on")}).FirstErr(); err != nil {
			j.t.Errorf("produce after the crash: %v", err)
		}
	}
}

// topics compares which topics there are and what they are set to.
func (j *judge) topics() map[string]kadm.TopicID {
	j.t.Helper()
	details, err := j.admin.ListTopics(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	ids := map[string]kadm.TopicID{}
	for name, d := range details {
		if d.Err != nil || len(d.Partitions) != 1 || d.Partitions[0].Err != nil {
			j.t.Errorf("topic %s: %v, %+v", name, d.Err, d.Partitions)
		}
		ids[name] = d.ID
	}
	for name := range crashTopics {
		allowed, must := map[kadm.TopicID]bool{}, true // what it may be
		allowed[kadm.TopicID{}] = true
		for _, e := range j.h.topics {
			if e.name != name || !e.mayBe(j.at) {
				continue
			}
			if e.mustBe(j.at) {
				clear(allowed)
			}
			must = e.mustBe(j.at)
			allowed[e.id] = true // the zero id if it was deleted
		}
		if !allowed[ids[name]] {
			j.t.Errorf("topic %s is %v, want one of %v (certain: %v)", name, ids[name], slices.Collect(maps.Keys(allowed)), must)
		}
	}
	if len(j.h.topics) > 0 && j.h.topics[0].mustBe(j.at) && j.s.ClusterID() != j.h.cluster {
		j.t.Errorf("cluster id %s, want %s", j.s.ClusterID(), j.h.cluster)
	}
	j.retention(ids)
	return ids
}

func (j *judge) retention(ids map[string]kadm.TopicID) {
	j.t.Helper()
	if _, ok := ids["both"]; !ok {
		return
	}
	configs, err := j.admin.DescribeTopicConfigs(j.t.Context(), "both")
	if err != nil || configs[0].Err != nil {
		j.t.Fatal(err, configs)
	}
	want, must := crashTopics["both"]["retention.ms"], true
	for _, r := range j.h.retained {
		if r.mayBe(j.at) {
			want, must = fmt.Sprint(r.value), r.mustBe(j.at)
		}
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != want && must {
			j.t.Errorf("retention.ms of both is %s, want %s", c.MaybeValue(), want)
		}
	}
}

// read reads a whole topic, read_committed; by now no transaction is open.
func (j *judge) read(name string) map[int64]*kgo.Record {
	j.t.Helper()
	ends, err := j.admin.ListEndOffsets(j.t.Context(), name)
	if err != nil {
		j.t.Fatal(err)
	}
	stable, err := j.admin.ListCommittedOffsets(j.t.Context(), name)
	if err != nil {
		j.t.Fatal(err)
	}
	end, _ := ends.Lookup(name, 0)
	if o, _ := stable.Lookup(name, 0); o.Offset != end.Offset || o.Err != nil || end.Err != nil {
		j.t.Errorf("%s: last stable offset %d, high watermark %d: a transaction hangs (%v, %v)", name, o.Offset, end.Offset, o.Err, end.Err)
	}
	seen := map[int64]*kgo.Record{}
	c := client(j.t, j.s, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepControlRecords())
	defer c.Close()
	for next := int64(-1); ; {
		ctx, cancel := context.WithTimeout(j.t.Context(), 300*time.Millisecond)
		f := c.PollFetches(ctx)
		cancel()
		if err := f.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			j.t.Fatalf("read %s: %v", name, err)
		}
		if f.NumRecords() == 0 {
			return seen
		}
		f.EachRecord(func(r *kgo.Record) {
			if r.Offset <= next {
				j.t.Errorf("%s: offset %d behind %d", name, r.Offset, next)
			}
			next = r.Offset
			if !r.Attrs.IsControl() {
				seen[r.Offset] = r
			}
		})
	}
}

// records compares a topic with what was written to it.
func (j *judge) records(name string, id kadm.TopicID, seen map[int64]*kgo.Record) {
	j.t.Helper()
	since := 0 // when this topic was made
	for _, e := range j.h.topics {
		if e.id == id {
			since = e.asked
		}
	}
	start := j.logStart(name)
	all := map[string]*ackedRecord{} // by key and value
	for _, w := range j.h.records {
		if w.topic == name && w.asked >= since && w.mayBe(j.at) {
			all[w.key+"="+w.value] = w
		}
	}
	for offset, r := range seen {
		w := all[string(r.Key)+"="+string(r.Value)]
		switch {
		case w == nil:
			j.t.Errorf("%s at %d: %s=%s, which nobody wrote by then", name, offset, r.Key, r.Value)
		case w.mustBe(j.at) && w.offset != offset:
			j.t.Errorf("%s at %d: %s, which was acked at %d", name, offset, r.Value, w.offset)
		}
	}
	newest := map[string]int64{} // offset of the newest record of a key that may be there
	for _, w := range all {
		newest[w.key] = max(newest[w.key], w.offset)
	}
	compacts := strings.Contains(crashTopics[name]["cleanup.policy"], "compact")
	for _, w := range all {
		if w.txn != nil || !w.mustBe(j.at) || w.offset < start || compacts && (newest[w.key] > w.offset || w.value == "") {
			continue
		}
		if seen[w.offset] == nil {
			j.t.Errorf("%s: %s, acked at %d, is lost; the log starts at %d", name, w.value, w.offset, start)
		}
	}
}

// logStart checks that a log begins where it may.
func (j *judge) logStart(name string) int64 {
	j.t.Helper()
	starts, err := j.admin.ListStartOffsets(j.t.Context(), name)
	if err != nil {
		j.t.Fatal(err)
	}
	o, _ := starts.Lookup(name, 0)
	if name != "plain" {
		return o.Offset
	}
	least, most := int64(0), int64(0)
	for _, d := range j.h.deleted {
		if d.mayBe(j.at) {
			most = d.value
		}
		if d.mustBe(j.at) {
			least = d.value
		}
	}
	if o.Offset < least || o.Offset > most {
		j.t.Errorf("the log of plain starts at %d, want %d to %d", o.Offset, least, most)
	}
	return o.Offset
}

// transactions are there wholly or not at all, their offset included.
func (j *judge) transactions(ids map[string]kadm.TopicID, seen map[string]map[int64]*kgo.Record) {
	j.t.Helper()
	if _, ok := ids["plain"]; !ok {
		return
	}
	start, offset := j.logStart("plain"), j.committed("txn")
	want := int64(-1)
	for _, x := range j.h.txns {
		there, missing := 0, 0
		for _, w := range j.h.records {
			if w.txn != x || w.topic != "plain" || w.offset < start {
				continue
			}
			if slices.ContainsFunc(slices.Collect(maps.Values(seen["plain"])), func(r *kgo.Record) bool { return string(r.Value) == w.value }) {
				there++
			} else {
				missing++
			}
		}
		switch {
		case there > 0 && (!x.commit || !x.end.mayBe(j.at)):
			j.t.Errorf("transaction %d: %d records are visible and nobody committed them", x.offset, there)
		case there > 0 && missing > 0:
			j.t.Errorf("transaction %d is torn: %d records are visible, %d are not", x.offset, there, missing)
		case missing > 0 && x.commit && x.end.mustBe(j.at):
			j.t.Errorf("transaction %d was committed and is not visible", x.offset)
		}
		if there > 0 || there+missing == 0 && x.commit && x.end.mustBe(j.at) {
			want = x.offset
		}
	}
	if expired := j.at > j.h.idle; offset != want && !(expired && offset == -1) {
		j.t.Errorf("the offset of transactions is %d, want %d, that of the newest that is visible", offset, want)
	}
}

// committed is the offset of a group in plain, -1 for none.
func (j *judge) committed(group string) int64 {
	j.t.Helper()
	offsets, err := j.admin.FetchOffsets(j.t.Context(), group)
	if err != nil {
		j.t.Fatal(err)
	}
	if o, ok := offsets.Lookup("plain", 0); ok && o.Err == nil {
		return o.At
	}
	return -1
}

func (j *judge) offsets(ids map[string]kadm.TopicID) {
	j.t.Helper()
	if _, ok := ids["plain"]; !ok {
		return
	}
	least, most := int64(-1), int64(-1)
	for _, o := range j.h.offsets {
		if o.mayBe(j.at) {
			most = o.value
		}
		if o.mustBe(j.at) {
			least = o.value
		}
	}
	if got := j.committed("plain"); (got < least || got > most) && !(j.at > j.h.idle && got == -1) {
		j.t.Errorf("the group's offset is %d, want %d to %d", got, least, most)
	}
}

// producerIDs: what is given now was not given before.
func (j *judge) producerIDs() {
	j.t.Helper()
	for _, txid := range []*string{nil, kmsg.StringPtr("four")} {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionalID, r.TransactionTimeoutMillis = txid, 5000
		got := initialised(j.t, j.s, r)
		for _, g := range j.h.given {
			if g.mustBe(j.at) && got == fmt.Sprint(g.id, "/", g.epoch) {
				j.t.Errorf("producer %s was given twice", got)
			}
		}
	}
}
