package cells

import (
	"context"
	"fmt"
	"slices"
)

// idempotent: 1,000 records over three partitions come back once, in order, as they were.
func (s suite) idempotent(ctx context.Context) (string, error) {
	const partitions, records = 3, 1000
	topic := s.prefix + "-idempotent"
	if err := s.library.CreateTopic(ctx, topic, partitions); err != nil {
		return "", fmt.Errorf("create topic: %w", err)
	}
	producer, err := s.library.Producer(ctx, "")
	if err != nil {
		return "", err
	}
	defer producer.Close()
	var sent []Record
	for i := range records {
		sent = append(sent, sample(i, int32(i%partitions)))
	}
	if err := producer.Send(ctx, topic, sent); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	want := byPartition(sent)
	ends := map[int32]int64{}
	for p, written := range want {
		ends[p] = int64(len(written))
	}
	got, err := s.library.HighWatermarks(ctx, topic)
	if err != nil {
		return "", err
	}
	if err := sameOffsets("high watermarks", got, ends); err != nil {
		return "", err
	}
	read, err := s.library.Read(ctx, topic, partitions, false, func(r Record) bool { return r.Offset == ends[r.Partition]-1 })
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	for p, all := range byPartition(read) {
		if len(all) != len(want[p]) {
			return "", fmt.Errorf("partition %d: read %d records, want %d", p, len(all), len(want[p]))
		}
		for i, r := range all {
			if r.Offset != int64(i) {
				return "", fmt.Errorf("partition %d: offset %d where %d was expected", p, r.Offset, i)
			}
			if err := equal(r, want[p][i]); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("%d records", len(read)), nil
}

// sample is a record with what is easily lost: bytes that are no text, an empty header, a null value.
func sample(i int, partition int32) Record {
	r := Record{
		Partition: partition,
		Key:       fmt.Appendf(nil, "key-%d", i),
		Value:     fmt.Appendf(nil, "value-%d-\x00\xff", i),
		Headers:   []Header{{"index", fmt.Append(nil, i)}, {"empty", []byte{}}, {"bytes", []byte{0, 0xff, 0x80}}},
	}
	if i%100 == 99 {
		r.Value = nil
	}
	return r
}

// txn: five transactions, the second and fourth aborted. A marker takes one offset in each partition.
func (s suite) txn(ctx context.Context) (string, error) {
	const partitions, transactions, records = 2, 5, 10
	topic := s.prefix + "-txn"
	if err := s.library.CreateTopic(ctx, topic, partitions); err != nil {
		return "", fmt.Errorf("create topic: %w", err)
	}
	producer, err := s.library.Producer(ctx, s.prefix+"-txn")
	if err != nil {
		return "", err
	}
	defer producer.Close()
	for t := range transactions {
		if err := oneTransaction(ctx, producer, topic, t, partitions, records); err != nil {
			return "", fmt.Errorf("transaction %d: %w", t, err)
		}
	}
	const end = int64(transactions * (records + 1))
	for _, committedOnly := range []bool{true, false} {
		// The last offset is a marker's.
		read, err := s.library.Read(ctx, topic, partitions, committedOnly, func(r Record) bool { return r.Offset == end-2 })
		if err != nil {
			return "", fmt.Errorf("read, committed only %t: %w", committedOnly, err)
		}
		var want []string
		for t := range transactions {
			for r := range records {
				if t%2 == 0 || !committedOnly {
					want = append(want, fmt.Sprintf("%d:t%d-r%d", t*(records+1)+r, t, r))
				}
			}
		}
		for p, all := range byPartition(read) {
			var have []string
			for _, r := range all {
				have = append(have, fmt.Sprintf("%d:%s", r.Offset, r.Value))
			}
			if !slices.Equal(have, want) {
				return "", fmt.Errorf("partition %d, committed only %t: read %v, want %v", p, committedOnly, have, want)
			}
		}
	}
	// Only now: Kafka answers a commit before it has written the markers, and who reads committed records waits for them.
	got, err := s.library.HighWatermarks(ctx, topic)
	if err != nil {
		return "", err
	}
	if err := sameOffsets("high watermarks", got, each(partitions, end)); err != nil {
		return "", err
	}
	return "3 committed, 2 aborted", nil
}

func oneTransaction(ctx context.Context, producer Producer, topic string, t int, partitions int32, records int) error {
	if err := producer.Begin(ctx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var all []Record
	for p := range partitions {
		for r := range records {
			all = append(all, Record{Partition: p, Value: fmt.Appendf(nil, "t%d-r%d", t, r)})
		}
	}
	if err := producer.Send(ctx, topic, all); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if t%2 == 1 {
		return producer.Abort(ctx)
	}
	return producer.Commit(ctx)
}
