package conformance

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestVisibleDropsAbortedTransactions(t *testing.T) {
	data := func(offset, pid int64, value string) stored {
		return stored{baseOffset: offset, lastOffset: offset, producerID: pid, transactional: pid > 0, values: []string{value}}
	}
	ended := func(offset, pid int64, commit bool) stored {
		return stored{baseOffset: offset, lastOffset: offset, producerID: pid, transactional: true, control: true, marker: marker{commit: commit}}
	}
	f := fetched{batches: []stored{
		data(0, 1, "aborted"), data(1, 2, "kept"), data(2, -1, "plain"), data(3, 1, "aborted too"),
		ended(4, 1, false), data(5, 1, "kept as well"), ended(6, 2, true), ended(7, 1, true),
	}}
	f.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1, FirstOffset: 0}}
	if got, want := visible(f), []string{"kept", "plain", "kept as well"}; !slices.Equal(got, want) {
		t.Errorf("visible %q, want %q", got, want)
	}
}
