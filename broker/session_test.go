package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// KIP-227: a session answers what is new, and refuses what does not fit.
func TestFetchSessions(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 3)
	full := getting(12, topic, 0, 0, 0)
	full.SessionEpoch = 0
	resp := ask(t, b, full, kmsg.NewPtrFetchResponse())
	id := resp.SessionID
	if id == 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 3 {
		t.Fatalf("full fetch: session %d, %d topics", id, len(resp.Topics))
	}
	epoch := int32(0)
	next := func(change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		t.Helper()
		epoch++
		r := kmsg.NewPtrFetchRequest()
		r.Version, r.MaxBytes, r.SessionID, r.SessionEpoch = 12, 1<<20, id, epoch
		if change != nil {
			change(r)
		}
		return ask(t, b, r, kmsg.NewPtrFetchResponse())
	}
	told := func(resp *kmsg.FetchResponse) (partitions []int32) {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				partitions = append(partitions, p.Partition)
			}
		}
		return partitions
	}
	if got := told(next(nil)); len(got) != 0 {
		t.Errorf("nothing is new, told %v", got)
	}
	put(t, b, "t", 0, batchOf(record.NoProducer(), "a"), nil)
	put(t, b, "t", 2, batchOf(record.NoProducer(), "a"), nil)
	if diff := cmp.Diff([]int32{0, 2}, told(next(nil))); diff != "" {
		t.Error(diff)
	}
	put(t, b, "t", 1, batchOf(record.NoProducer(), "a"), nil)
	if diff := cmp.Diff([]int32{1, 0, 2}, told(next(nil))); diff != "" {
		t.Errorf("what was not sent last time comes first: %s", diff)
	}
	moved := func(r *kmsg.FetchRequest) { r.Topics = getting(12, topic, 1, 1, 1).Topics }
	if got := told(next(moved)); len(got) != 0 {
		t.Errorf("at the end of all, told %v", got)
	}
	forget := func(r *kmsg.FetchRequest) {
		gone := kmsg.NewFetchRequestForgottenTopic()
		gone.Topic, gone.Partitions = "t", []int32{0, 1}
		r.ForgottenTopics = append(r.ForgottenTopics, gone)
	}
	next(forget)
	put(t, b, "t", 0, batchOf(record.NoProducer(), "b"), nil)
	put(t, b, "t", 2, batchOf(record.NoProducer(), "b"), nil)
	if diff := cmp.Diff([]int32{2}, told(next(nil))); diff != "" {
		t.Error(diff)
	}
	closing := getting(12, topic, 0)
	closing.SessionID = id
	if resp := ask(t, b, closing, kmsg.NewPtrFetchResponse()); resp.SessionID != 0 || b.sessions.count() != 0 {
		t.Errorf("after the close: session %d, %d held", resp.SessionID, b.sessions.count())
	}
}

// What does not fit a session is refused, and leaves it as it was.
func TestFetchSessionErrors(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 1)
	full := getting(12, topic, 0)
	full.SessionEpoch = 0
	id := ask(t, b, full, kmsg.NewPtrFetchResponse()).SessionID
	for name, c := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   int16
	}{
		"an older epoch":   {func(r *kmsg.FetchRequest) { r.SessionEpoch = 3 }, kerr.InvalidFetchSessionEpoch.Code},
		"another session":  {func(r *kmsg.FetchRequest) { r.SessionID++ }, kerr.FetchSessionIDNotFound.Code},
		"no session":       {func(r *kmsg.FetchRequest) { r.SessionID = 0 }, kerr.FetchSessionIDNotFound.Code},
		"ids in a session": {func(r *kmsg.FetchRequest) { r.Version = 13 }, kerr.FetchSessionTopicIDError.Code},
	} {
		r := kmsg.NewPtrFetchRequest()
		r.Version, r.MaxBytes, r.SessionID, r.SessionEpoch = 12, 1<<20, id, 1
		c.change(r)
		if resp := ask(t, b, r, kmsg.NewPtrFetchResponse()); resp.ErrorCode != c.want || len(resp.Topics) != 0 {
			t.Errorf("%s: %v, want %v", name, kerr.ErrorForCode(resp.ErrorCode), kerr.ErrorForCode(c.want))
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open(t, map[string]string{"max.incremental.fetch.session.cache.slots": "2"})
		topic := withTopic(t, b, "t", 1)
		begin := func() int32 {
			r := getting(12, topic, 0)
			r.SessionEpoch = 0
			return ask(t, b, r, kmsg.NewPtrFetchResponse()).SessionID
		}
		for slot := range 2 {
			if begin() == 0 {
				t.Errorf("no session although slot %d is free", slot)
			}
		}
		if begin() != 0 {
			t.Error("a session although all slots are in use")
		}
		time.Sleep(sessionIdle)
		if begin() == 0 {
			t.Error("a session unused for two minutes keeps its slot")
		}
	})
}
