package shard_test

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// A tally is the number of records of each key.
type tally map[string]int

func (t tally) Apply(b shard.Batch) error {
	for _, r := range b.Records {
		t[string(r.Key)]++
	}
	return nil
}

// A coordinator decides from its view; the view learns of it from the log.
func Example() {
	ctx := context.Background()
	s := shard.Open(ctx, shardtest.New(), func(int32) tally { return tally{} }, shard.Options[tally]{})
	defer s.Close()

	for range 3 {
		offset, err := s.Update(ctx, "apples", func(t tally, epoch int32) (shard.Write, error) {
			if t["apples"] == 2 {
				return shard.Write{}, nil // enough
			}
			return shard.Write{Records: []record.Record{{Key: []byte("apples")}}}, nil
		})
		fmt.Println(offset, err)
	}
	err := s.View(ctx, func(t tally) { fmt.Println(t) })
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// 1 <nil>
	// -1 <nil>
	// map[apples:2]
	// <nil>
}
