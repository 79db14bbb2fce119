package broker

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

func TestChooseSurvivor(t *testing.T) {
	three := cluster.Partition{Replicas: []int32{1, 2, 3}}
	again := cluster.Partition{Replicas: []int32{1, 2, 3}, Recovery: &cluster.Recovery{Generation: 2, Survivor: 1, Term: 5000}}
	type standings map[int32]replication.Standing
	for _, c := range []struct {
		name string
		p    cluster.Partition
		s    standings
		want cluster.Recovery
		err  error
	}{
		{"the only one", three, standings{2: {Term: 7, LastTerm: 6, LastIndex: 9}}, cluster.Recovery{Generation: 1, Survivor: 2, Term: 1007}, nil},
		{"the longer log", three, standings{2: {Term: 7, LastTerm: 6, LastIndex: 9}, 3: {Term: 6, LastTerm: 6, LastIndex: 10}}, cluster.Recovery{Generation: 1, Survivor: 3, Term: 1007}, nil},
		{"the newer term before the longer log", three, standings{1: {Term: 6, LastTerm: 6, LastIndex: 9}, 3: {Term: 5, LastTerm: 5, LastIndex: 10}}, cluster.Recovery{Generation: 1, Survivor: 1, Term: 1006}, nil},
		{"of equal ones the preferred", three, standings{3: {LastTerm: 6, LastIndex: 9}, 2: {LastTerm: 6, LastIndex: 9}}, cluster.Recovery{Generation: 1, Survivor: 2, Term: 1006}, nil},
		{"a log of the newest generation before a longer one", again, standings{2: {Generation: 1, LastTerm: 2000, LastIndex: 90}, 3: {Generation: 2, LastTerm: 5000, LastIndex: 10}},
			cluster.Recovery{Generation: 3, Survivor: 3, Term: 6000}, nil},
		{"a broken disk and an empty one", three, standings{1: {LastTerm: 6, LastIndex: 9, Offline: true}, 2: {Term: 9}}, cluster.Recovery{}, kerr.EligibleLeadersNotAvailable},
		{"nobody", three, nil, cluster.Recovery{}, kerr.EligibleLeadersNotAvailable},
		{"one that hears its leader", three, standings{2: {LastTerm: 6, LastIndex: 9}, 3: {LastTerm: 6, LastIndex: 9, Led: true}}, cluster.Recovery{}, kerr.ElectionNotNeeded},
	} {
		got, err := chooseSurvivor(&c.p, c.s)
		if !errors.Is(err, c.err) || err == nil && got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, err, c.want, c.err)
		}
	}
}
