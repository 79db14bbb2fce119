package brokertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// New topics are placed on brokers that answer, on those that do not only where
// there are too few others, and serve at once.
func TestNewTopicsAvoidSilentBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 4, brokertest.Options{})
		if err := c.Kill(3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		client := clusterClient(t, c)
		admin := kadm.NewClient(client)
		for name, want := range map[string]struct {
			replicas int16
			silent   bool
		}{"one": {1, false}, "three": {3, false}, "four": {4, true}} {
			if _, err := admin.CreateTopic(t.Context(), 8, want.replicas, nil, name); err != nil {
				t.Fatal(err)
			}
			meta, err := admin.Metadata(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range meta.Topics[name].Partitions {
				has := false
				for i, id := range p.Replicas {
					has = has || id == 3
					if id == 3 && i == 0 {
						t.Errorf("%s-%d is placed on %v, 3 is silent and should not be the first", name, p.Partition, p.Replicas)
					}
				}
				if has != want.silent || p.Leader < 0 || len(p.Replicas) != int(want.replicas) {
					t.Errorf("%s-%d is placed on %v and led by %d; is 3 to be there: %v", name, p.Partition, p.Replicas, p.Leader, want.silent)
				}
			}
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: name, Value: []byte("a")}).FirstErr(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := admin.UpdatePartitions(t.Context(), 16, "one"); err != nil {
			t.Fatal(err)
		}
		for _, p := range metadataOf(t, c, 1).Topics["one"].Partitions {
			if p.Replicas[0] == 3 {
				t.Errorf("added partition %d is placed on %v, 3 is silent", p.Partition, p.Replicas)
			}
		}
	})
}
