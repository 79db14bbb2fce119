package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A reader is one consumer of some of the partitions. One goroutine uses it.
type reader struct {
	r      *run
	client *kgo.Client
	parts  map[int32]*readPart
	passes int

	read, damaged, foreign, aborted, backwards int64
	late, duplicates, missing                  int64
}

// A readPart is how far a partition was read and what was seen there.
type readPart struct {
	begin, position int64
	streams         []stream // by producer
}

// fetchTimer notes how long each Fetch takes, from its being written to its
// answer.
type fetchTimer struct{ m *meter }

func (f fetchTimer) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key == int16(kmsg.Fetch) && e2e.Err() == nil {
		at := f.m.now()
		f.m.took("fetch", at-e2e.DurationE2E(), at)
	}
}

// readers makes the consumers and gives each its partitions, to be read from
// where they ended before the run.
func (r *run) readers(ctx context.Context, committed bool, extra ...kgo.Opt) (all []*reader, err error) {
	defer func() {
		if err != nil {
			closeReaders(all)
		}
	}()
	for i := range min(r.s.Consumers, int(r.s.Partitions)) {
		c := &reader{r: r, parts: map[int32]*readPart{}}
		from := map[int32]kgo.Offset{}
		for p := int32(i); p < r.s.Partitions; p += int32(r.s.Consumers) {
			from[p] = kgo.NewOffset().At(r.begin[p])
			c.parts[p] = &readPart{begin: r.begin[p], position: r.begin[p], streams: make([]stream, r.s.Producers)}
		}
		opts := append([]kgo.Opt{
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.s.Topic: from}), kgo.MetadataMinAge(250 * time.Millisecond),
			kgo.KeepControlRecords(), // an end may lie behind one
		}, extra...)
		if committed {
			opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		}
		if c.client, err = r.Dial(ctx, opts...); err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeReaders(all []*reader) {
	for _, c := range all {
		c.client.Close()
	}
}

// poll takes what comes next. It returns no error when ctx ends.
func (c *reader) poll(ctx context.Context) error {
	fetches := c.client.PollFetches(ctx)
	at := c.r.meter.now()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if part := c.parts[p.Partition]; part != nil && len(p.Records) > 0 {
			c.take(part, p.Records, at)
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	for _, failure := range fetches.Errors() {
		return fmt.Errorf("fetch from %s-%d: %w", c.r.s.Topic, failure.Partition, failure.Err)
	}
	return nil
}

// take judges and counts the records of one partition.
func (c *reader) take(part *readPart, records []*kgo.Record, at time.Duration) {
	bytes, data := 0, 0
	if c.r.Kind == Consume && c.read+c.foreign == 0 && c.passes == 0 {
		c.r.meter.first(at)
	}
	for _, record := range records {
		if record.Offset < part.position {
			c.backwards++
		}
		part.position = record.Offset + 1
		if record.Attrs.IsControl() {
			continue
		}
		data++
		bytes += len(record.Value)
		c.judge(part, record.Value, at)
	}
	if c.r.Kind == Consume {
		c.r.meter.done("", 0, at, data, bytes)
	}
}

// judge looks at one record.
func (c *reader) judge(part *readPart, value []byte, at time.Duration) {
	stamp, ours, whole := c.r.form.parse(value)
	switch {
	case !ours:
		c.foreign++
		return
	case !whole || int(stamp.producer) >= len(part.streams) || stamp.producer < 0:
		c.damaged++
		return
	case stamp.flags&flagAborted != 0:
		c.aborted++
		return
	}
	c.read++
	switch part.streams[stamp.producer].see(stamp.sequence) {
	case late:
		c.late++
	case duplicate:
		c.duplicates++
	}
	switch {
	case c.r.Kind == EndToEnd:
		c.r.meter.done("e2e", stamp.due, at, 1, len(value))
	case c.r.Kind == Txn && stamp.flags&flagLast != 0:
		c.r.meter.took("visible", stamp.due, at)
	}
}

// follow takes all that comes until ctx ends.
func (c *reader) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readTo takes what lies before ends, unless ctx ends before. It gives up when
// nothing comes for the run's timeout.
func (c *reader) readTo(ctx context.Context, ends map[int32]int64) error {
	for {
		partition, part := c.behind(ends)
		if part == nil || ctx.Err() != nil {
			return nil
		}
		position := part.position
		wait, cancel := context.WithTimeout(ctx, c.r.Timeout)
		err := c.poll(wait)
		gaveUp := wait.Err() != nil && ctx.Err() == nil
		cancel()
		if err != nil {
			return err
		}
		if gaveUp && part.position == position {
			return fmt.Errorf("read nothing of %s-%d for %v, at offset %d of %d", c.r.s.Topic, partition, c.r.Timeout, position, ends[partition])
		}
	}
}

// behind is a partition that is not read up to its end yet, if there is one.
func (c *reader) behind(ends map[int32]int64) (int32, *readPart) {
	for number, part := range c.parts {
		if part.position < ends[number] {
			return number, part
		}
	}
	return 0, nil
}

// again goes back to the beginning.
func (c *reader) again() {
	offsets := map[int32]kgo.EpochOffset{}
	for number, part := range c.parts {
		offsets[number] = kgo.EpochOffset{Epoch: -1, Offset: part.begin}
		part.position = part.begin
		clear(part.streams)
	}
	c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{c.r.s.Topic: offsets})
}

// count closes a pass: what is missing, of so many written by each producer in
// each partition. Of a pass that was not finished, only what it passed over is.
func (c *reader) count(senders []*sender, whole bool) {
	c.passes++
	for number, part := range c.parts {
		for i, s := range senders {
			written := s.acked[number]
			if !whole {
				written = min(written, part.streams[i].next)
			}
			c.missing += part.streams[i].lacks(written)
		}
	}
}

// each has all readers do something side by side and waits for them.
func each(all []*reader, do func(*reader) error) []error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() { errs[i] = do(c) })
	}
	wait.Wait()
	return errs
}
