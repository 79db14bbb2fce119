package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/txn"
)

// A transaction coordinator on another node that does not answer is one that
// cannot be asked, in each request's own words: clients retry those.
func TestHard06SilentCoordinatorElsewhere(t *testing.T) {
	b, _ := open(t, nil)
	for api, want := range map[kmsg.Key]int16{kmsg.Produce: kerr.NotEnoughReplicas.Code, kmsg.TxnOffsetCommit: kerr.CoordinatorLoadInProgress.Code} {
		for _, err := range b.ensureAt(t.Context(), 9, txn.EnsureRequest{TransactionalID: "t", API: api, Version: 5, Participants: make([]txn.Participant, 2)}) {
			if code := protocol.Code(err); code != want {
				t.Errorf("%s: %v, want code %d", api.Name(), err, want)
			}
		}
	}
}
