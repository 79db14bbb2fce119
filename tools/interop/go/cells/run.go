package cells

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// cellTimeout is far above what a cell takes; a library that hangs fails its cell, not the whole program.
const cellTimeout = 60 * time.Second

// A suite is one library at work under one prefix of names.
type suite struct {
	library Library
	prefix  string
}

// Main runs the cells for the library that open makes, and prints a line for each.
// The library has no part in the cells that lacks names, each with its reason.
func Main(open func(bootstrap string) (Library, error), lacks map[string]string) {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: "+os.Args[0]+" BOOTSTRAP PREFIX")
		os.Exit(2)
	}
	library, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := suite{library, os.Args[2]}
	for _, cell := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{{"idempotent", s.idempotent}, {"group", s.group}, {"txn", s.txn}, {"etl", s.etl}} {
		verdict, detail := "n/a", lacks[cell.name]
		if detail == "" {
			verdict, detail = judge(cell.run)
		}
		fmt.Printf("%s\t%s\t%s\n", cell.name, verdict, strings.Join(strings.Fields(detail), " "))
	}
}

// judge runs one cell.
func judge(cell func(context.Context) (string, error)) (verdict, detail string) {
	ctx, cancel := context.WithTimeout(context.Background(), cellTimeout)
	defer cancel()
	detail, err := cell(ctx)
	if err != nil {
		return "fail", err.Error()
	}
	return "ok", detail
}

// byPartition sorts records into their partitions, in the order they were read.
func byPartition(records []Record) map[int32][]Record {
	all := map[int32][]Record{}
	for _, r := range records {
		all[r.Partition] = append(all[r.Partition], r)
	}
	return all
}

// equal compares what was read with what was written, a null value being no empty one.
func equal(got, want Record) error {
	if string(got.Key) != string(want.Key) || string(got.Value) != string(want.Value) || (got.Value == nil) != (want.Value == nil) {
		return fmt.Errorf("partition %d offset %d holds %q=%q, want %q=%q", got.Partition, got.Offset, got.Key, got.Value, want.Key, want.Value)
	}
	same := func(a, b Header) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }
	if !slices.EqualFunc(got.Headers, want.Headers, same) {
		return fmt.Errorf("partition %d offset %d has the headers %q, want %q", got.Partition, got.Offset, got.Headers, want.Headers)
	}
	return nil
}

// sameOffsets compares an offset of each partition.
func sameOffsets(what string, got, want map[int32]int64) error {
	for p, offset := range want {
		if g, found := got[p]; !found || g != offset {
			return fmt.Errorf("%s are %v, want %v", what, got, want)
		}
	}
	return nil
}

// each gives all partitions the same offset.
func each(partitions int32, offset int64) map[int32]int64 {
	all := map[int32]int64{}
	for p := range partitions {
		all[p] = offset
	}
	return all
}
