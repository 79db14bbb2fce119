package main

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestStoredRecordsAreReadable(t *testing.T) {
	key, commit := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
	key.Version, key.Group, key.Topic, key.Partition = 1, "readers", "orders", 2
	commit.Version, commit.Offset, commit.TopicID = 4, 1<<62+1, [16]byte{15: 1}
	gotKey, got := decodeOffsets(key.AppendTo(nil), commit.AppendTo(nil))
	if want := `{"Group":"readers","Partition":2,"Topic":"orders","Version":1}`; fmt.Sprint(gotKey) != want {
		t.Errorf("key %v, want %s", gotKey, want)
	}
	if want := `{"CommitTimestamp":0,"ExpireTimestamp":0,"LeaderEpoch":0,"Metadata":"","Offset":4611686018427387905,"TopicID":"AAAAAAAAAAAAAAAAAAAAAQ","Version":4}`; fmt.Sprint(got) != want {
		t.Errorf("value %v, want %s", got, want)
	}
	if _, got := decodeTransactions([]byte{0, 0, 0}, []byte{1}); fmt.Sprint(got)[:len("undecodable")] != "undecodable" {
		t.Errorf("a broken value is shown as %v", got)
	}
}
