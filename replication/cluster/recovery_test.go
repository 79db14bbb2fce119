package cluster

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestDecideRecovery(t *testing.T) {
	settled := Partition{Replicas: []int32{1, 2, 3}, Founded: true}
	recovered := Partition{Replicas: []int32{1, 2, 3}, Adding: []int32{1, 3}, Founded: true, Recovery: &Recovery{1, 2, 1007}}
	led := recovered
	led.Recovery = &Recovery{1, -1, 1007}
	for _, c := range []struct {
		name   string
		before Partition
		want   Recovery
		after  Partition
		err    error
	}{
		{"the majority is given up", settled, Recovery{1, 2, 1007}, recovered, nil},
		{"a group that nobody knows to be there", Partition{Replicas: []int32{1, 2, 3}, Founders: []int32{1, 2}}, Recovery{1, 2, 1007}, recovered, nil},
		{"while others come and go", Partition{Replicas: []int32{2, 4, 5, 1, 3}, Adding: []int32{4, 5}, Removing: []int32{1, 3}, Founded: true}, Recovery{1, 3, 1007},
			Partition{Replicas: []int32{2, 4, 5, 3}, Adding: []int32{2, 4, 5}, Removing: []int32{3}, Founded: true, Recovery: &Recovery{1, 3, 1007}}, nil},
		{"its log went on", recovered, Recovery{1, -1, 1007}, led, nil},
		{"again, of another", led, Recovery{2, 3, 2009}, Partition{Replicas: []int32{1, 2, 3}, Adding: []int32{1, 2}, Founded: true, Recovery: &Recovery{2, 3, 2009}}, nil},
		{"twice the same", recovered, Recovery{1, 2, 1007}, recovered, kerr.InvalidRequest},
		{"a generation left out", recovered, Recovery{3, 2, 2000}, recovered, kerr.InvalidRequest},
		{"a term that was there", recovered, Recovery{2, 3, 1007}, recovered, kerr.InvalidRequest},
		{"a term that no epoch can follow", settled, Recovery{1, 2, 1 << 31}, settled, kerr.InvalidRequest},
		{"a survivor without a replica", settled, Recovery{1, 4, 1007}, settled, kerr.InvalidReplicaAssignment},
		{"what never happened went on", settled, Recovery{0, -1, 0}, settled, kerr.InvalidRequest},
	} {
		img := fiveBrokers(c.before)
		commands, err := decideRecovery(img, recoveryWant{ID: UUID{7}, Recovery: c.want})
		for _, one := range commands {
			img.apply(one, 9, map[part]struct{}{})
		}
		after := img.topics["t"].Partitions[0]
		if !errors.Is(err, c.err) || !sameRecord(after, c.after) {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, after, err, c.after, c.err)
		}
	}
	if got := recovered.Voted(); !slices.Equal(got, []int32{2}) {
		t.Errorf("voters after the recovery %v, want the survivor", got)
	}
	if _, err := decideRecovery(fiveBrokers(settled), recoveryWant{ID: UUID{7}, Partition: 1, Recovery: Recovery{1, 2, 1007}}); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a partition that is none: %v", err)
	}
}
