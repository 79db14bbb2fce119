package group

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

func TestCheckCommit(t *testing.T) {
	instance := "i"
	cases := []struct {
		name          string
		state         State
		id            string
		instance      *string
		generation    int32
		transactional bool
		want          *kerr.Error
	}{
		{"standalone, group empty", Empty, "", nil, -1, false, nil},
		{"standalone, group active", Stable, "", nil, -1, false, kerr.UnknownMemberID},
		{"transaction without member, group active", Stable, "", nil, -1, true, nil},
		{"member of this generation", Stable, "m", nil, 5, false, nil},
		{"zombie of an older generation", Stable, "m", nil, 4, false, kerr.IllegalGeneration},
		{"zombie in a transaction", Stable, "m", nil, 4, true, kerr.IllegalGeneration},
		{"unknown member", Stable, "x", nil, 5, false, kerr.UnknownMemberID},
		{"fenced instance", Stable, "x", &instance, 5, false, kerr.FencedInstanceID},
		{"unknown instance", Stable, "m", new("other"), 5, false, kerr.UnknownMemberID},
		{"static member", Stable, "s", &instance, 5, false, nil},
		{"while the assignment is awaited", CompletingRebalance, "m", nil, 5, false, kerr.RebalanceInProgress},
		{"the same in a transaction", CompletingRebalance, "m", nil, 5, true, nil},
		{"during the join phase", PreparingRebalance, "m", nil, 5, false, nil},
		{"member of an empty group", Empty, "x", nil, 5, false, kerr.UnknownMemberID},
	}
	for _, tc := range cases {
		g := newGroup("g", -1)
		if tc.state != Empty {
			g.add(&member{id: "m"}, "consumer")
			g.add(&member{id: "s", instanceID: &instance}, "consumer")
		}
		g.state, g.generation = tc.state, 5
		want(t, tc.name, g.checkCommit(tc.id, tc.instance, tc.generation, tc.transactional), tc.want)
	}
}

func TestZombieCannotCommit(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: time.Second}, func(w *world) {
		a := w.client()
		w.stable(a)
		want(t, "commit", a.commit(0, 10), nil)
		b := w.client()
		joining := later(b.enter)
		w.settle()
		zombie := *a
		want(t, "a joins again", a.enter(), nil)
		wantAnswer(t, "b", joining, nil)
		want(t, "commit of the old generation", zombie.commit(0, 99), kerr.IllegalGeneration)
		w.wantFetch("g", 0, true, 10, nil)
	})
}

func TestStandaloneCommits(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "commit", c.commit(2, 42), nil)
		w.wantFetch("g", 2, false, 42, nil)
		w.wantFetch("g", 1, false, -1, nil)
		w.wantFetch("nobody", 0, true, -1, nil)
		w.wantState(Empty, 0)
		c.generation = 3
		want(t, "generation in a group without members", c.commit(0, 1), kerr.UnknownMemberID)
		c.group = "none"
		want(t, "generation in an unknown group", c.commit(0, 1), kerr.GroupIDNotFound)
		c.group, c.generation = strings.Repeat("g", 32768), -1
		want(t, "group id that no key can hold", c.commit(0, 1), kerr.InvalidGroupID)
	})
}

func TestCommitRefusals(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		long := strings.Repeat("x", 4097)
		fits := strings.Repeat("\u00e4", 4096) // counted in UTF-16 units, not bytes
		req, resp := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetCommitResponse()
		req.Version, req.Group, req.Generation = 9, "g", -1
		add := func(topic string, index int32, offset int64, metadata *string) {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata = index, offset, metadata
			req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}})
		}
		add("none", 0, 1, nil)
		add("orders", 3, 1, nil)
		add("orders", -1, 1, nil)
		add("orders", 0, -5, nil)
		add("orders", 0, 1, &long)
		add("orders", 1, 1, &fits)
		if err := w.c.OffsetCommit(context.Background(), req, resp); err != nil {
			t.Fatal(err)
		}
		for i, wanted := range []*kerr.Error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition,
			kerr.InvalidRequest, kerr.OffsetMetadataTooLarge, nil} {
			want(t, resp.Topics[i].Topic, errOf(resp.Topics[i].Partitions[0].ErrorCode), wanted)
		}
		w.wantFetch("g", 1, false, 1, nil)
	})
}

func TestTopicIDs(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		req, resp := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetCommitResponse()
		req.Version, req.Group, req.Generation = 10, "g", -1
		for _, id := range [][16]byte{{1}, {9}} {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = 7
			req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}})
		}
		if err := w.c.OffsetCommit(context.Background(), req, resp); err != nil {
			t.Fatal(err)
		}
		want(t, "known id", errOf(resp.Topics[0].Partitions[0].ErrorCode), nil)
		want(t, "unknown id", errOf(resp.Topics[1].Partitions[0].ErrorCode), kerr.UnknownTopicID)
		if resp.Topics[0].TopicID != [16]byte{1} {
			t.Errorf("id in the answer: %v", resp.Topics[0].TopicID)
		}
		fetch := func(ids ...[16]byte) kmsg.OffsetFetchResponseGroup {
			req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
			req.Version = 10
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "g"
			for _, id := range ids {
				g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{TopicID: id, Partitions: []int32{0}})
			}
			req.Groups = append(req.Groups, g)
			if err := w.c.OffsetFetch(context.Background(), req, resp); err != nil {
				t.Fatal(err)
			}
			return resp.Groups[0]
		}
		got := fetch([16]byte{1}, [16]byte{9})
		if p := got.Topics[0].Partitions[0]; p.Offset != 7 || p.ErrorCode != 0 {
			t.Errorf("by id: %+v", p)
		}
		if p := got.Topics[1].Partitions[0]; p.Offset != -1 || p.ErrorCode != kerr.UnknownTopicID.Code {
			t.Errorf("by an unknown id: %+v", p)
		}
		if got := fetch(); len(got.Topics) != 1 || got.Topics[0].TopicID != [16]byte{1} || got.Topics[0].Partitions[0].Offset != 7 {
			t.Errorf("all: %+v", got)
		}
	})
}

func TestFetchOfOldVersions(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		want(t, "commit", w.client().commit(0, 5), nil)
		for version := int16(1); version <= 7; version++ {
			req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
			req.Version, req.Group = version, "g"
			if version == 1 {
				req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0}}}
			}
			if err := w.c.OffsetFetch(context.Background(), req, resp); err != nil {
				t.Fatal(err)
			}
			if len(resp.Topics) != 1 || resp.Topics[0].Topic != "orders" || resp.Topics[0].Partitions[0].Offset != 5 {
				t.Errorf("version %d: %+v", version, resp.Topics)
			}
		}
		w.p.Follow(2)
		req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
		req.Version, req.Group = 1, "g"
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0}}}
		if err := w.c.OffsetFetch(context.Background(), req, resp); err != nil {
			t.Fatal(err)
		}
		want(t, "version 1 elsewhere", errOf(resp.Topics[0].Partitions[0].ErrorCode), kerr.NotCoordinator)
	})
}

func TestTransactionalOffsetsArePendingUntilTheMarker(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "plain commit", c.commit(0, 1), nil)
		want(t, "commit in a transaction", c.commitInTxn(7, 0, 0, 10), nil)
		w.wantFetch("g", 0, true, -1, kerr.UnstableOffsetCommit)
		w.wantFetch("g", 0, false, 1, nil)
		w.wantFetch("g", 1, true, -1, nil)
		w.mark(7, 0, true)
		w.wantFetch("g", 0, true, 10, nil)
		want(t, "second transaction", c.commitInTxn(7, 0, 0, 20), nil)
		w.mark(7, 0, false)
		w.wantFetch("g", 0, true, 10, nil)
	})
}

func TestSettledAtTheHighWatermark(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		want(t, "commit in a transaction", w.client().commitInTxn(7, 0, 0, 10), nil)
		thaw := w.p.Freeze()
		w.mark(7, 0, true)
		w.wantFetch("g", 0, true, -1, kerr.UnstableOffsetCommit)
		w.wantFetch("g", 0, false, -1, nil)
		thaw()
		w.wantFetch("g", 0, true, 10, nil)
	})
}

func TestNewerRecordWinsAtTheMarker(t *testing.T) { // hard-19
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "commit in a transaction", c.commitInTxn(7, 0, 0, 10), nil)
		want(t, "plain commit after it", c.commit(0, 3), nil)
		w.mark(7, 0, true)
		w.wantFetch("g", 0, true, 3, nil)
	})
}

func TestTwoProducersPendOnOnePartition(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "first", c.commitInTxn(7, 0, 0, 10), nil)
		want(t, "second", c.commitInTxn(8, 0, 0, 20), nil)
		w.mark(8, 0, true)
		w.wantFetch("g", 0, true, -1, kerr.UnstableOffsetCommit)
		w.mark(7, 0, true)
		w.wantFetch("g", 0, true, 20, nil)
	})
}

func TestTxnOffsetCommitRefusals(t *testing.T) {
	refuse := error(nil)
	verify := func(_ context.Context, req *kmsg.TxnOffsetCommitRequest, index int32, guard func(int64) shard.Guard) (shard.Guard, error) {
		return guard(req.ProducerID), refuse
	}
	bubble(t, Config{InitialRebalanceDelay: -1, Verify: verify}, func(w *world) {
		c := w.client()
		c.group = ""
		want(t, "empty group id", c.commitInTxn(7, 0, 0, 1), kerr.InvalidGroupID)
		c.group = "none"
		c.generation = 1
		want(t, "generation in an unknown group", c.commitInTxn(7, 0, 0, 1), kerr.IllegalGeneration)
		m := w.client()
		w.stable(m)
		want(t, "member", m.commitInTxn(7, 0, 0, 1), nil)
		m.generation++
		want(t, "another generation", m.commitInTxn(7, 0, 0, 1), kerr.IllegalGeneration)
		m.id = "x"
		want(t, "another member", m.commitInTxn(7, 0, 0, 1), kerr.UnknownMemberID)
		refuse = kerr.TransactionAbortable
		want(t, "the transaction coordinator refuses", m.commitInTxn(7, 0, 0, 1), kerr.TransactionAbortable)
	})
}

func TestTombstonesWhenATopicIsRecreated(t *testing.T) { // hard-36
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		want(t, "commit", c.commit(0, 50), nil)
		want(t, "commit in a transaction", c.commitInTxn(7, 0, 1, 60), nil)
		old := w.topics.ids["orders"]
		w.topics.recreate("orders", [16]byte{3})
		w.wantFetch("g", 0, false, -1, nil)
		want(t, "commit for the new topic", c.commit(2, 1), nil)
		if err := w.c.TopicsDeleted(context.Background(), []DeletedTopic{{"orders", old}}); err != nil {
			t.Fatal(err)
		}
		w.mark(7, 0, true)
		w.wantFetch("g", 1, true, -1, nil)
		w.wantFetch("g", 2, true, 1, nil)
		w.topics.dead = map[[16]byte]bool{} // the log alone says it
		w.restart()
		w.wantFetch("g", 0, true, -1, nil)
		w.wantFetch("g", 1, true, -1, nil)
		w.wantFetch("g", 2, true, 1, nil)
	})
}

func TestTopicDeletedWhileNobodyCoordinated(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		want(t, "commit", w.client().commit(0, 50), nil)
		w.c.Close()
		w.topics.recreate("orders", [16]byte{3})
		w.start()
		w.settle()
		w.topics.dead = map[[16]byte]bool{}
		w.wantFetch("g", 0, true, -1, nil)
	})
}

func TestAmbiguousCommitIsReplayed(t *testing.T) { // hard-18
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		w.p.Fail(shardtest.Stored)
		want(t, "commit whose append ended in doubt", c.commit(0, 9), kerr.NotCoordinator)
		w.settle()
		w.wantFetch("g", 0, true, 9, nil)
		w.p.Fail(shardtest.Lost)
		want(t, "lost commit", c.commit(0, 10), kerr.NotCoordinator)
		w.settle()
		w.wantFetch("g", 0, true, 9, nil)
	})
}
