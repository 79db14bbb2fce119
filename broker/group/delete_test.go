package group

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (w *world) deleteGroup(id string) *kerr.Error {
	req, resp := kmsg.NewPtrDeleteGroupsRequest(), kmsg.NewPtrDeleteGroupsResponse()
	req.Version, req.Groups = 2, []string{id, id}
	if err := w.c.DeleteGroups(context.Background(), req, resp); err != nil {
		w.t.Error(err)
	}
	if len(resp.Groups) != 1 {
		w.t.Errorf("%d answers for a group named twice", len(resp.Groups))
	}
	return errOf(resp.Groups[0].ErrorCode)
}

func (w *world) list(states, types []string) []string {
	req, resp := kmsg.NewPtrListGroupsRequest(), kmsg.NewPtrListGroupsResponse()
	req.Version, req.StatesFilter, req.TypesFilter = 5, states, types
	if err := w.c.ListGroups(context.Background(), req, resp); err != nil || resp.ErrorCode != 0 {
		w.t.Errorf("list: %v, %d", err, resp.ErrorCode)
	}
	names := []string{}
	for _, g := range resp.Groups {
		names = append(names, fmt.Sprintf("%s %q %s %s", g.Group, g.ProtocolType, g.GroupState, g.GroupType))
	}
	return names
}

func TestListAndDescribe(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		c := w.client()
		w.stable(c)
		simple := w.client()
		simple.group = "simple"
		want(t, "commit", simple.commit(0, 1), nil)
		for _, tc := range []struct {
			states, types []string
			want          string
		}{
			{nil, nil, `[g "consumer" Stable classic simple "" Empty classic]`},
			{[]string{" stable"}, nil, `[g "consumer" Stable classic]`},
			{[]string{"Empty"}, []string{"classic"}, `[simple "" Empty classic]`},
			{[]string{"Dead"}, nil, `[]`},
			{nil, []string{"consumer"}, `[]`},
		} {
			if got := fmt.Sprint(w.list(tc.states, tc.types)); got != tc.want {
				t.Errorf("states %q, types %q: got %s, want %s", tc.states, tc.types, got, tc.want)
			}
		}
		g := w.describe("g")
		if g.Protocol != "range" || len(g.Members) != 1 || g.Members[0].ClientHost != "/10.0.0.1" || g.Members[0].ClientID != "app" ||
			string(g.Members[0].MemberAssignment) != "for "+c.id || len(g.Members[0].ProtocolMetadata) == 0 {
			t.Errorf("description: %+v", g)
		}
		if g := w.describe("none"); g.State != "Dead" || g.ErrorCode != kerr.GroupIDNotFound.Code || g.ErrorMessage == nil {
			t.Errorf("unknown group, version 6: %+v", g)
		}
		if g := w.c.describe(context.Background(), "none", 5); g.State != "Dead" || g.ErrorCode != 0 {
			t.Errorf("unknown group, version 5: %+v", g)
		}
	})
}

func TestDeleteGroups(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		want(t, "unknown group", w.deleteGroup("g"), kerr.GroupIDNotFound)
		c := w.client()
		w.stable(c)
		want(t, "commit", c.commit(0, 1), nil)
		want(t, "group with members", w.deleteGroup("g"), kerr.NonEmptyGroup)
		want(t, "leave", c.leave(), nil)
		want(t, "delete", w.deleteGroup("g"), nil)
		want(t, "delete again", w.deleteGroup("g"), kerr.GroupIDNotFound)
		w.wantFetch("g", 0, true, -1, nil)
		w.restart()
		if got := w.list(nil, nil); len(got) != 0 {
			t.Errorf("after restart: %v", got)
		}
	})
}

func TestDeleteGroupWithManyOffsets(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		c := w.client()
		c.group = string(make([]byte, 30000)) // few tombstones fill a batch
		for i := range int32(3) {
			want(t, "commit", c.commit(i, 1), nil)
		}
		v := newView(w.c.logger)
		v.groups["g"] = newGroup("g", -1)
		v.groups["g"].stored = true
		for i := range int32(10000) {
			v.offsets.commit("g", partition{"a topic with a name of some length", i}, committed{})
		}
		all := sweep{groups: true, doomed: func(*group, partition, committed) bool { return true }}
		rounds, removed := 0, 0
		for more := true; more; rounds++ {
			var size int
			records, again := all.tombstones(v, v.groups["g"], time.Now())
			for _, r := range records {
				size += recordSize(r)
				if k, err := keyVersion(r.Key); err != nil || k != offsetCommitKeyVersion {
					continue
				}
				_, p, _, _, err := decodeOffset(r)
				if err != nil {
					t.Fatal(err)
				}
				v.offsets.remove("g", p)
				removed++
			}
			if size > maxTombstoneBytes+1000 {
				t.Errorf("batch of %d bytes", size)
			}
			more = again
		}
		if rounds < 2 || removed != 10000 {
			t.Errorf("%d rounds, %d removed", rounds, removed)
		}
		want(t, "delete", w.deleteGroup(c.group), nil)
	})
}

func (c *client) deleteOffset(topic string, index int32) (whole, one *kerr.Error) {
	req, resp := kmsg.NewPtrOffsetDeleteRequest(), kmsg.NewPtrOffsetDeleteResponse()
	req.Group = c.group
	req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: index}}}}
	if err := c.w.c.OffsetDelete(context.Background(), req, resp); err != nil {
		c.w.t.Error(err)
	}
	if resp.ErrorCode != 0 {
		return errOf(resp.ErrorCode), nil
	}
	return nil, errOf(resp.Topics[0].Partitions[0].ErrorCode)
}

func TestOffsetDelete(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		check := func(what string, c *client, topic string, wantWhole, wantOne *kerr.Error) {
			t.Helper()
			whole, one := c.deleteOffset(topic, 0)
			want(t, what, whole, wantWhole)
			want(t, what+", partition", one, wantOne)
		}
		c := w.client()
		check("unknown group", c, "orders", kerr.GroupIDNotFound, nil)
		w.stable(c)
		want(t, "commit", c.commit(0, 5), nil)
		check("subscribed topic", c, "orders", nil, kerr.GroupSubscribedToTopic)
		check("unknown topic", c, "none", nil, kerr.UnknownTopicOrPartition)
		check("topic that nobody consumes", c, "other", nil, nil)
		want(t, "leave", c.leave(), nil)
		check("after the member left", c, "orders", nil, nil)
		w.wantFetch("g", 0, true, -1, nil)
	})
}
