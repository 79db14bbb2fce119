package brokertest_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// A broker that was killed before it wrote down what it knew of the metadata
// takes nobody's word but the controller's when it is back: a topic that is gone
// meanwhile leaves no files.
func TestTopicDeletedWhileABrokerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		made, err := admin.CreateTopic(t.Context(), 4, 3, nil, "gone")
		if err != nil {
			t.Fatal(err)
		}
		disk := c.Servers[2].FS
		if err := c.Kill(3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if _, err := admin.DeleteTopic(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		entries, err := disk.ReadDir("data")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), hex.EncodeToString(made.ID[:])) {
				t.Errorf("folder %s of the deleted topic is there", e.Name())
			}
		}
	})
}
