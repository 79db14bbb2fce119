package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestDecideRegister(t *testing.T) {
	img := state(
		command{Found: &found{ClusterID: "c", Features: defaultFeatures()}},
		command{Register: &Broker{ID: 1, Address: "one:9093", Listeners: []Listener{{Name: "PLAINTEXT", Host: "one", Port: 9092}}}},
	)
	for _, tt := range []struct {
		name string
		ask  Broker
		want *Broker // nil: nothing changes
	}{
		{"new broker joins", Broker{ID: 2, Address: "two:9093", Joining: true}, &Broker{ID: 2, Address: "two:9093", Joining: true}},
		{"known broker joins again", Broker{ID: 1, Address: "one:9093", Joining: true}, nil},
		{"known broker joins from elsewhere", Broker{ID: 1, Address: "uno:9093", Joining: true},
			&Broker{ID: 1, Epoch: 1, Address: "uno:9093", Listeners: []Listener{{Name: "PLAINTEXT", Host: "one", Port: 9092}}}},
		{"broker registers", Broker{ID: 1, Address: "one:9093"}, &Broker{ID: 1, Address: "one:9093"}},
	} {
		commands, err := decideRegister(img, tt.ask)
		var got *Broker
		if len(commands) > 0 {
			got = commands[0].Register
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	_, err := decideRegister(img, Broker{ID: -1})
	wantErr(t, err, kerr.InvalidRequest)
}

func TestDecideUnregister(t *testing.T) {
	img := small()
	img.apply(command{Register: &Broker{ID: 4}}, 20, map[part]struct{}{})
	for id, want := range map[int32]error{1: kerr.InvalidRequest, 3: kerr.InvalidRequest, 5: kerr.BrokerIDNotRegistered, 4: nil} {
		_, err := decideUnregister(img, id)
		wantErr(t, err, want)
	}
	alone := state(command{Found: &found{ClusterID: "c"}}, command{Register: &Broker{ID: 1}})
	_, err := decideUnregister(alone, 1)
	wantErr(t, err, kerr.InvalidRequest)
}

// What joins is given no replicas before it has registered.
func TestNothingIsPlacedOnABrokerThatJoins(t *testing.T) {
	img := state(command{Found: &found{ClusterID: "c"}}, command{Register: &Broker{ID: 1}}, command{Register: &Broker{ID: 2, Joining: true}})
	_, err := place(img, 0, 1, 2, given{})
	wantErr(t, err, kerr.InvalidReplicationFactor)
	partitions, err := place(img, 0, 4, 1, given{random: 1})
	for _, p := range partitions {
		if p.Replicas[0] != 1 {
			t.Errorf("partition %d is placed on %v", p.ID, p.Replicas)
		}
	}
	wantErr(t, err, nil)
}
