package record_test

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

func ExampleValidate() {
	b := record.NewBuilder(record.NoProducer())
	b.Append(record.Record{Timestamp: 1000, Key: []byte("user-1"), Value: []byte("hello")})
	bytes := b.Build()

	batch, info, err := record.Validate(bytes, record.Limits{MaxBytes: 1 << 20, Now: 1000})
	fmt.Println(batch.Count(), info.MaxTimestamp, err)

	bytes[len(bytes)-1] ^= 1
	_, _, err = record.Validate(bytes, record.Limits{})
	fmt.Println(errors.Is(err, kerr.CorruptMessage))
	// Output:
	// 1 1000 <nil>
	// true
}

func ExampleBatch_Records() {
	b := record.NewBuilder(record.NoProducer())
	b.Append(record.Record{Value: []byte("first")})
	b.Append(record.Record{Value: []byte("second")})
	for r, err := range b.Build().Records(nil) {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Offset, string(r.Value))
	}
	// Output:
	// 0 first
	// 1 second
}

func ExampleNewMarker() {
	marker := record.NewMarker(4000, 0, record.Control{Commit: true, CoordinatorEpoch: 3}, 0)
	c, ok, err := marker.Control()
	fmt.Println(c.Commit, c.CoordinatorEpoch, ok, err)
	// Output: true 3 true <nil>
}
