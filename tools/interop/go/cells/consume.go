package cells

import (
	"context"
	"fmt"
	"time"
)

// group: two members share six partitions and commit; one leaves, and a third resumes from what is committed.
func (s suite) group(ctx context.Context) (string, error) {
	const partitions, half = 6, 50
	topic, group := s.prefix+"-group", s.prefix+"-group"
	if err := s.library.CreateTopic(ctx, topic, partitions); err != nil {
		return "", fmt.Errorf("create topic: %w", err)
	}
	first, err := s.library.Member(ctx, group, topic)
	if err != nil {
		return "", err
	}
	defer func() { first.Close() }()
	second, err := s.library.Member(ctx, group, topic)
	if err != nil {
		return "", err
	}
	defer second.Close()
	for i, who := range []string{"first and second", "second and third"} {
		if err := share(ctx, first, second, partitions/2); err != nil {
			return "", fmt.Errorf("%s member: %w", who, err)
		}
		if err := s.fill(ctx, topic, partitions, half); err != nil {
			return "", err
		}
		// Whatever was committed before must not come again, and what is new comes to one of the two.
		read, err := drain(ctx, first, second, partitions*half)
		if err != nil {
			return "", fmt.Errorf("%s member: %w", who, err)
		}
		if err := inOrder(read, int64(i*half), partitions, half); err != nil {
			return "", fmt.Errorf("%s member: %w", who, err)
		}
		for _, m := range []Member{first, second} {
			if err := m.Commit(ctx); err != nil {
				return "", fmt.Errorf("%s member: commit: %w", who, err)
			}
		}
		committed, err := s.library.Committed(ctx, group, topic)
		if err != nil {
			return "", fmt.Errorf("committed offsets: %w", err)
		}
		if err := sameOffsets("committed offsets", committed, each(partitions, int64((i+1)*half))); err != nil {
			return "", err
		}
		if i == 0 {
			first.Close()
			if first, err = s.library.Member(ctx, group, topic); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("%d records, three members", 2*partitions*half), nil
}

// share polls two members until each has its part. Nothing is in the way of a rebalance but empty polls.
func share(ctx context.Context, a, b Member, part int) error {
	for a.Assigned() != part || b.Assigned() != part {
		if ctx.Err() != nil {
			return fmt.Errorf("have %d and %d partitions, want %d each: %w", a.Assigned(), b.Assigned(), part, ctx.Err())
		}
		for _, m := range []Member{a, b} {
			read, err := m.Poll(ctx)
			if err != nil {
				return err
			}
			if len(read) > 0 {
				return fmt.Errorf("partition %d offset %d was consumed again", read[0].Partition, read[0].Offset)
			}
		}
	}
	return nil
}

// fill writes records to each partition.
func (s suite) fill(ctx context.Context, topic string, partitions int32, records int) error {
	producer, err := s.library.Producer(ctx, "")
	if err != nil {
		return err
	}
	defer producer.Close()
	var all []Record
	for p := range partitions {
		for i := range records {
			all = append(all, Record{Partition: p, Value: fmt.Appendf(nil, "p%d-%d", p, i)})
		}
	}
	return producer.Send(ctx, topic, all)
}

// drain polls two members until they have read so many records between them, each a part.
func drain(ctx context.Context, a, b Member, records int) ([]Record, error) {
	var all []Record
	counts := [2]int{}
	for len(all) < records {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %d records, want %d: %w", len(all), records, ctx.Err())
		}
		for i, m := range []Member{a, b} {
			read, err := m.Poll(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, read...)
			counts[i] += len(read)
		}
	}
	if counts[0] == 0 || counts[1] == 0 {
		return nil, fmt.Errorf("the members read %d and %d records: the work is not shared", counts[0], counts[1])
	}
	return all, nil
}

// inOrder checks that each partition gave so many records, one offset after the other.
func inOrder(read []Record, from int64, partitions int32, records int) error {
	all := byPartition(read)
	for p := range partitions {
		if len(all[p]) != records {
			return fmt.Errorf("partition %d: read %d records, want %d", p, len(all[p]), records)
		}
		for i, r := range all[p] {
			if r.Offset != from+int64(i) {
				return fmt.Errorf("partition %d: offset %d where %d was expected", p, r.Offset, from+int64(i))
			}
		}
	}
	return nil
}

// etl: what is consumed is produced again with its offsets in the same transaction; the first attempt is aborted and redone.
func (s suite) etl(ctx context.Context) (string, error) {
	const partitions, records = 2, 100
	from, to, group := s.prefix+"-etl-in", s.prefix+"-etl-out", s.prefix+"-etl"
	for _, topic := range []string{from, to} {
		if err := s.library.CreateTopic(ctx, topic, partitions); err != nil {
			return "", fmt.Errorf("create topic: %w", err)
		}
	}
	transformer, err := s.library.Transformer(ctx, s.prefix+"-etl", group, from, to)
	if err != nil {
		return "", err
	}
	defer transformer.Close()
	var aborted, consumed []Record
	for half := range 2 {
		if err := s.fill(ctx, from, partitions, records/2); err != nil {
			return "", err
		}
		if half == 0 {
			if aborted, err = attempts(ctx, transformer, 1, false); err != nil {
				return "", fmt.Errorf("the aborted attempt: %w", err)
			}
		}
		read, err := attempts(ctx, transformer, partitions*records/2, true)
		if err != nil {
			return "", err
		}
		consumed = append(consumed, read...)
	}
	if err := inOrder(consumed, 0, partitions, records); err != nil {
		return "", fmt.Errorf("input: %w", err)
	}
	if err := s.output(ctx, to, partitions, consumed); err != nil {
		return "", fmt.Errorf("output: %w", err)
	}
	if err := s.settled(ctx, group, from, each(partitions, records)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records, %d of them redone after an abort", partitions*records, len(aborted)), nil
}

// attempts transforms until at least so many records are consumed.
func attempts(ctx context.Context, transformer Transformer, records int, commit bool) ([]Record, error) {
	var all []Record
	for len(all) < records {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("consumed %d records, want %d: %w", len(all), records, ctx.Err())
		}
		consumed, err := transformer.Attempt(ctx, commit, func(r Record) Record {
			return Record{Partition: r.Partition, Value: append([]byte("out-"), r.Value...)}
		})
		if err != nil {
			return nil, err
		}
		all = append(all, consumed...)
	}
	return all, nil
}

// output checks that the committed output holds each input record once, in the order of its partition.
func (s suite) output(ctx context.Context, topic string, partitions int32, input []Record) error {
	producer, err := s.library.Producer(ctx, "")
	if err != nil {
		return err
	}
	defer producer.Close()
	var ends []Record
	for p := range partitions {
		ends = append(ends, Record{Partition: p, Value: []byte("end")})
	}
	if err := producer.Send(ctx, topic, ends); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	read, err := s.library.Read(ctx, topic, partitions, true, func(r Record) bool { return string(r.Value) == "end" })
	if err != nil {
		return err
	}
	got, want := byPartition(read), byPartition(append(input, ends...))
	for p := range partitions {
		if len(got[p]) != len(want[p]) {
			return fmt.Errorf("partition %d: read %d records, want %d", p, len(got[p]), len(want[p]))
		}
		for i, r := range got[p][:len(got[p])-1] {
			if string(r.Value) != "out-"+string(want[p][i].Value) {
				return fmt.Errorf("partition %d record %d is %q, want %q", p, i, r.Value, "out-"+string(want[p][i].Value))
			}
		}
	}
	return nil
}

// settled waits for the committed offsets of a transaction: Kafka answers the commit before they are there,
// and not every library asks for stable offsets.
func (s suite) settled(ctx context.Context, group, topic string, want map[int32]int64) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		committed, err := s.library.Committed(ctx, group, topic)
		if err == nil {
			err = sameOffsets("committed offsets", committed, want)
		}
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}
