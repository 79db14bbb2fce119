package cluster

import (
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fiveBrokers is an image with brokers 1 to 5 and the topic "t" on some of them.
func fiveBrokers(partitions ...Partition) *Image {
	img := newImage()
	for id := int32(1); id <= 5; id++ {
		img.brokers[id] = &Broker{ID: id}
	}
	img.setTopic((&Topic{Name: "t", ID: UUID{7}, Partitions: partitions}).numbered(), map[part]struct{}{})
	return img
}

func TestDecideMove(t *testing.T) {
	settled := Partition{Replicas: []int32{1, 2, 3}, Founded: true}
	moving := Partition{Replicas: []int32{2, 4, 5, 1, 3}, Adding: []int32{4, 5}, Removing: []int32{1, 3}, Founded: true}
	for _, c := range []struct {
		name       string
		before     Partition
		want       []int32
		sameFactor bool
		after      Partition
		err        error
	}{
		{"others in the place of two", settled, []int32{2, 4, 5}, true, moving, nil},
		{"the first time the founders are kept", Partition{Replicas: []int32{3, 1}}, []int32{1, 2}, false,
			Partition{Replicas: []int32{1, 2, 3}, Adding: []int32{2}, Removing: []int32{3}, Founders: []int32{3, 1}}, nil},
		{"another order moves nothing", settled, []int32{3, 1, 2}, false, Partition{Replicas: []int32{3, 1, 2}, Founded: true}, nil},
		{"fewer", settled, []int32{2}, false, Partition{Replicas: []int32{2, 1, 3}, Removing: []int32{1, 3}, Founded: true}, nil},
		{"more", settled, []int32{1, 2, 3, 4, 5}, false, Partition{Replicas: []int32{1, 2, 3, 4, 5}, Adding: []int32{4, 5}, Founded: true}, nil},
		{"another wish before the first is fulfilled", moving, []int32{2, 4, 1}, true,
			Partition{Replicas: []int32{2, 4, 1, 3, 5}, Adding: []int32{4}, Removing: []int32{3, 5}, Returning: []int32{1}, Founded: true}, nil},
		{"a cancelled one goes back", moving, nil, true,
			Partition{Replicas: []int32{2, 1, 3, 4, 5}, Removing: []int32{4, 5}, Returning: []int32{1, 3}, Founded: true}, nil},
		{"one that only takes replicas off is cancelled", Partition{Replicas: []int32{3, 2, 1}, Removing: []int32{1}, Founded: true}, nil, true,
			Partition{Replicas: []int32{3, 2, 1}, Returning: []int32{1}, Founded: true}, nil},
		{"all are wanted again", Partition{Replicas: []int32{3, 2, 1}, Removing: []int32{1}, Founded: true}, []int32{3, 1, 2}, false,
			Partition{Replicas: []int32{3, 1, 2}, Returning: []int32{1}, Founded: true}, nil},
		{"and in another order, before they are there", Partition{Replicas: []int32{3, 1, 2}, Returning: []int32{1}, Founded: true}, []int32{1, 2, 3}, false,
			Partition{Replicas: []int32{1, 2, 3}, Returning: []int32{1}, Founded: true}, nil},
		{"and then not", Partition{Replicas: []int32{3, 1, 2}, Returning: []int32{1}, Founded: true}, []int32{2, 3}, false,
			Partition{Replicas: []int32{2, 3, 1}, Removing: []int32{1}, Founded: true}, nil},
		{"nothing to cancel", settled, nil, false, settled, kerr.NoReassignmentInProgress},
		{"no replicas", settled, []int32{}, false, settled, kerr.InvalidReplicaAssignment},
		{"a broker twice", settled, []int32{1, 1}, false, settled, kerr.InvalidReplicaAssignment},
		{"an unknown broker", settled, []int32{1, 9}, false, settled, kerr.InvalidReplicaAssignment},
		{"another factor where that is not allowed", settled, []int32{1, 2}, true, settled, kerr.InvalidReplicationFactor},
	} {
		after, err := decideMove(fiveBrokers(c.before), c.before, Move{Topic: "t", Replicas: c.want}, c.sameFactor)
		if !errors.Is(err, c.err) || !sameRecord(after, c.after) {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, after, err, c.after, c.err)
		}
	}
}

// sameRecord compares, no list being an empty one.
func sameRecord(a, b Partition) bool {
	for _, p := range []*Partition{&a, &b} {
		p.Since = 0
		for _, list := range []*[]int32{&p.Replicas, &p.Adding, &p.Removing, &p.Returning, &p.Founders} {
			if len(*list) == 0 {
				*list = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// Each of several is decided for itself; the refused are told in their order.
func TestDecideMoves(t *testing.T) {
	img := fiveBrokers(Partition{Replicas: []int32{1, 2}}, Partition{Replicas: []int32{2, 3}})
	commands, why := decideMoves(img, moves{Moves: []Move{
		{Topic: "t", Partition: 1, Replicas: []int32{4, 5}}, {Topic: "gone", Replicas: []int32{1}}, {Topic: "t", Partition: 2, Replicas: []int32{1}},
		{Topic: "t", Partition: 0}, {Topic: "t", Partition: 1}, // the last goes by the first
	}})
	want := []refused{{}, {3, "Unable to find a topic named gone."}, {3, "Unable to find partition t:2."}, {85, "No partition reassignment is in progress."}, {}}
	if !reflect.DeepEqual(why, want) {
		t.Errorf("refused %+v, want %+v", why, want)
	}
	if len(commands) != 1 {
		t.Fatalf("%d commands, want 1", len(commands))
	}
	dirty := map[part]struct{}{}
	img.apply(commands[0], 9, dirty)
	if got, want := img.ids[UUID{7}].Partitions[1], (Partition{ID: 1, Replicas: []int32{2, 3, 4, 5}, Removing: []int32{4, 5}, Returning: []int32{2, 3}, Founders: []int32{2, 3}}); !sameRecord(got, want) || len(dirty) != 1 {
		t.Errorf("%+v, %d parts to be saved; want %+v, 1", got, len(dirty), want)
	}
}

// The end of a reassignment counts only for the wish that it is the end of, and
// after the group was found.
func TestDecideMoved(t *testing.T) {
	moving := Partition{Replicas: []int32{2, 4, 1}, Adding: []int32{4}, Removing: []int32{1}, Founders: []int32{1, 2}}
	founded := moving
	founded.Founded, founded.Founders = true, nil
	for _, c := range []struct {
		name   string
		before Partition
		voters []int32
		after  Partition
	}{
		{"a group is found", moving, nil, founded},
		{"and once only", founded, nil, founded},
		{"voters before the group was found", moving, []int32{4, 2}, moving},
		{"voters as wanted", founded, []int32{4, 2}, Partition{Replicas: []int32{2, 4}, Founded: true}},
		{"voters of whom one came back", Partition{Replicas: []int32{1, 2}, Returning: []int32{1}, Founded: true}, []int32{2, 1}, Partition{Replicas: []int32{1, 2}, Founded: true}},
		{"voters as they were wanted before", founded, []int32{2, 3}, founded},
		{"nothing moves", Partition{Replicas: []int32{1, 2}, Founded: true}, []int32{1, 2}, Partition{Replicas: []int32{1, 2}, Founded: true}},
	} {
		img := fiveBrokers(c.before)
		for _, command := range decideMoved(img, moved{[]movedPartition{{ID: UUID{7}, Voters: c.voters}, {ID: UUID{8}}, {ID: UUID{7}, Partition: 5}}}) {
			img.apply(command, 1, map[part]struct{}{})
		}
		if got := img.ids[UUID{7}].Partitions[0]; !sameRecord(got, c.after) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.after)
		}
	}
}

// A group is founded once, by those who held it first, whatever is wished
// meanwhile.
func TestFoundedBy(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Partition
		want []int32
	}{
		{"a new partition", Partition{Replicas: []int32{3, 1}}, []int32{3, 1}},
		{"one that is moved at once", Partition{Replicas: []int32{2, 3}, Adding: []int32{2}, Founders: []int32{3, 1}}, []int32{3, 1}},
		{"one that is there", Partition{Replicas: []int32{3, 1}, Founded: true}, nil},
	} {
		if got := c.p.FoundedBy(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
