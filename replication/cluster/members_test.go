package cluster

import (
	"context"
	"testing"
)

// registered is an image of brokers that others reach, some of which left.
func registered(ids, left []int32) *Image {
	commands := []command{{Found: &found{ClusterID: "c"}}}
	for _, id := range append(ids, left...) {
		commands = append(commands, command{Register: &Broker{ID: id, Address: "host:9093"}})
	}
	for _, id := range left {
		commands = append(commands, command{Unregister: &unregister{id}})
	}
	return state(commands...)
}

func TestNextMember(t *testing.T) {
	type ids = []int32
	for _, tt := range []struct {
		name       string
		registered ids
		left       ids
		now        members
		want       step
	}{
		{"nobody has registered yet", nil, nil, members{voters: ids{1, 2, 3}}, step{nothing, -1}},
		{"founders are what they are", ids{1, 2, 3}, nil, members{voters: ids{1, 2, 3}, ready: ids{1, 2, 3}}, step{nothing, -1}},
		{"a fourth follows", ids{1, 2, 3, 4}, nil, members{voters: ids{1, 2, 3}}, step{addObserver, 4}},
		{"a fourth has no vote", ids{1, 2, 3, 4}, nil, members{voters: ids{1, 2, 3}, observers: ids{4}, ready: ids{1, 2, 3, 4}}, step{nothing, -1}},
		{"a voter that left is followed by an observer", ids{1, 2, 4}, ids{3}, members{voters: ids{1, 2, 3}, observers: ids{4}, ready: ids{1, 2, 4}}, step{addVoter, 4}},
		{"and then taken off", ids{1, 2, 4}, ids{3}, members{voters: ids{1, 2, 3, 4}, ready: ids{1, 2, 4}}, step{remove, 3}},
		{"a voter that left goes even if none follows it", ids{1, 2}, ids{3}, members{voters: ids{1, 2, 3}, ready: ids{1, 2}}, step{remove, 3}},
		{"an observer that is behind follows nobody", ids{1, 2, 4}, ids{3}, members{voters: ids{1, 2, 3}, observers: ids{4}, ready: ids{1, 2}}, step{remove, 3}},
		{"the place is taken later", ids{1, 2, 4}, ids{3}, members{voters: ids{1, 2}, observers: ids{4}, ready: ids{1, 2, 4}}, step{addVoter, 4}},
		{"or waits until the observer is there", ids{1, 2, 4}, nil, members{voters: ids{1, 2}, observers: ids{4}, ready: ids{1, 2}}, step{await, -1}},
		{"one of five leaves", ids{1, 2, 3, 4, 6}, ids{5}, members{voters: ids{1, 2, 3, 4, 5}, observers: ids{6}, ready: ids{1, 2, 3, 4, 6}}, step{remove, 5}},
		{"the leader that left hands over", ids{2, 3}, ids{1}, members{self: 1, voters: ids{1, 2, 3}, ready: ids{1, 3}}, step{handOver, 3}},
		{"or waits until somebody is ready", ids{2, 3}, ids{1}, members{self: 1, voters: ids{1, 2, 3}, ready: ids{1}}, step{await, -1}},
		{"others that left go before the leader", ids{3}, ids{1, 2}, members{self: 1, voters: ids{1, 2, 3}, ready: ids{1, 3}}, step{remove, 2}},
		{"an observer that left goes", ids{1, 2, 3}, ids{4}, members{voters: ids{1, 2, 3}, observers: ids{4}}, step{remove, 4}},
		{"one that is alone stays so with a second", ids{1, 2}, nil, members{voters: ids{1}, observers: ids{2}, ready: ids{1, 2}}, step{nothing, -1}},
		{"with a third it has voters beside it", ids{1, 2, 3}, nil, members{voters: ids{1}, observers: ids{2, 3}, ready: ids{1, 2, 3}}, step{addVoter, 2}},
		{"both of them", ids{1, 2, 3}, nil, members{voters: ids{1, 2}, observers: ids{3}, ready: ids{1, 2, 3}}, step{addVoter, 3}},
		{"the only voter leaves to its observer", ids{2}, ids{1}, members{self: 1, voters: ids{1}, observers: ids{2}, ready: ids{1, 2}}, step{addVoter, 2}},
		{"and hands over", ids{2}, ids{1}, members{self: 1, voters: ids{1, 2}, ready: ids{1, 2}}, step{handOver, 2}},
		{"the last voter waits for a successor", ids{2}, ids{1}, members{self: 1, voters: ids{1}, observers: ids{2}, ready: ids{1}}, step{await, -1}},
	} {
		if got := tt.now.next(registered(tt.registered, tt.left)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// A step that is none is refused before anything is asked of the group.
func TestUnknownStep(t *testing.T) {
	if err := new(Metadata).take(context.Background(), step{kind: await}); err == nil {
		t.Error("waiting is taken for a change")
	}
}
