package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// planned starts the clock of a load.
func (r *run) planned() plan {
	p := plan{schedule: schedule{r.s.Rate}, most: r.s.Records}
	p.start, p.end = r.meter.start(time.Duration(r.s.Warmup), time.Duration(r.s.Duration))
	return p
}

// produce measures writing.
func (r *run) produce(ctx context.Context) error {
	senders, err := r.senders(ctx, noOptions)
	if err != nil {
		return err
	}
	defer closeAll(senders)
	if err := openAll(ctx, senders); err != nil {
		return err
	}
	p := r.planned()
	if err := r.sendAll(ctx, senders, func(s *sender) error { return s.load(ctx, p) }); err != nil {
		return err
	}
	r.checkSent(senders)
	if err := r.checkStored(ctx); err != nil {
		return err
	}
	if !r.s.ReadBack {
		return nil
	}
	return r.readBack(ctx, senders)
}

// readBack reads and checks what was written.
func (r *run) readBack(ctx context.Context, senders []*sender) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	readers, err := r.readers(work, false)
	if err != nil {
		return err
	}
	defer closeReaders(readers)
	return r.readRest(work, senders, readers, false)
}

// readRest reads up to the end that the log has now, and judges.
func (r *run) readRest(ctx context.Context, senders []*sender, readers []*reader, committed bool) error {
	bounded, cancel := r.after(ctx)
	ends, err := r.endsToRead(bounded, committed)
	cancel()
	if err != nil {
		return err
	}
	if err := errors.Join(each(readers, func(c *reader) error {
		err := c.readTo(ctx, ends)
		c.count(senders, true)
		return err
	})...); err != nil {
		return err
	}
	r.checkRead(readers)
	return nil
}

// consume measures reading of what it writes first, or of what a given topic
// holds.
func (r *run) consume(ctx context.Context) error {
	var senders []*sender
	if r.s.Records > 0 {
		var err error
		if senders, err = r.fillTopic(ctx); err != nil {
			return err
		}
		defer closeAll(senders)
	} else if err := r.fromStart(ctx); err != nil {
		return err
	}
	if r.stopping.Load() {
		return nil
	}
	bounded, cancel := r.after(ctx)
	ends, err := r.ends(bounded, false)
	cancel()
	if err != nil {
		return err
	}
	_, end := r.meter.start(time.Duration(r.s.Warmup), time.Duration(r.s.Duration))
	defer r.progress()()
	reading, cancel := ctx, context.CancelFunc(func() {})
	if end != never {
		reading, cancel = context.WithDeadline(ctx, r.meter.began.Add(end))
	}
	defer cancel()
	readers, err := r.readers(ctx, false, kgo.WithHooks(fetchTimer{r.meter}))
	if err != nil {
		return err
	}
	defer closeReaders(readers)
	err = errors.Join(each(readers, func(c *reader) error { return c.passesOver(reading, senders, ends, end != never) })...)
	r.meter.end(r.meter.now())
	r.checkRead(readers)
	return err
}

// passesOver reads everything once, or again and again until ctx ends.
func (c *reader) passesOver(ctx context.Context, senders []*sender, ends map[int32]int64, repeat bool) error {
	for {
		err := c.readTo(ctx, ends)
		_, left := c.behind(ends)
		c.count(senders, left == nil)
		if err != nil || left != nil || !repeat || ctx.Err() != nil {
			return err
		}
		c.again()
	}
}

// fillTopic writes what is to be read, as fast as possible.
func (r *run) fillTopic(ctx context.Context) ([]*sender, error) {
	senders, err := r.senders(ctx, noOptions)
	if err != nil {
		return nil, err
	}
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, "writing %d records to be read ...", r.s.Records)
	}
	p := plan{end: never, most: r.s.Records}
	err = openAll(ctx, senders)
	if err == nil {
		err = r.sendAll(ctx, senders, func(s *sender) error { return s.load(ctx, p) })
	}
	if err != nil {
		closeAll(senders)
		return nil, err
	}
	r.checkSent(senders)
	if err := r.checkStored(ctx); err != nil {
		closeAll(senders)
		return nil, err
	}
	return senders, nil
}

// fromStart reads a given topic from where it begins.
func (r *run) fromStart(ctx context.Context) error {
	listed, err := r.admin.ListStartOffsets(ctx, r.s.Topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("ask for the beginnings of %s: %w", r.s.Topic, err)
	}
	r.begin = map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { r.begin[o.Partition] = o.Offset })
	return nil
}

// endToEnd measures from a record's being due to its being read.
func (r *run) endToEnd(ctx context.Context) error {
	senders, err := r.senders(ctx, noOptions)
	if err != nil {
		return err
	}
	defer closeAll(senders)
	return r.withReaders(ctx, senders, false, func(p plan) error {
		return r.sendAll(ctx, senders, func(s *sender) error { return s.load(ctx, p) })
	})
}

// withReaders runs a load while its records are read, reads the rest, and
// judges.
func (r *run) withReaders(ctx context.Context, senders []*sender, committed bool, load func(plan) error) error {
	if err := openAll(ctx, senders); err != nil {
		return err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	readers, err := r.readers(work, committed)
	if err != nil {
		return err
	}
	defer closeReaders(readers)
	following, stop := context.WithCancel(work)
	followed := make(chan error, 1)
	go func() {
		followed <- errors.Join(each(readers, func(c *reader) error {
			err := c.follow(following)
			if err != nil {
				r.stopping.Store(true) // a load that nobody reads measures nothing
			}
			return err
		})...)
	}()
	loaded := load(r.planned())
	stop()
	if err := errors.Join(loaded, <-followed); err != nil {
		return err
	}
	r.checkSent(senders)
	return r.readRest(work, senders, readers, committed)
}

// checkSent judges what the producers were answered.
func (r *run) checkSent(senders []*sender) {
	c := &r.report.Check
	wrong := int64(0)
	for _, s := range senders {
		for _, acked := range s.acked {
			c.Written += acked
		}
		wrong += s.wrong
	}
	if wrong > 0 {
		c.OutOfOrder += wrong
		c.problemf("%d records were answered with an offset that is not above that of the record before", wrong)
	}
}

// checkStored compares what was acknowledged with the offsets of the log.
func (r *run) checkStored(ctx context.Context) error {
	c := &r.report.Check
	stored, err := r.stored(ctx, c.Written)
	if err != nil {
		return err
	}
	c.Stored = stored
	unknown := r.meter.failures()
	switch {
	case stored < c.Written:
		c.Missing += c.Written - stored
		c.problemf("%d records were acknowledged, the log holds %d more than before", c.Written, stored)
	case stored > c.Written+unknown:
		c.Duplicates += stored - c.Written - unknown
		c.problemf("%d records were acknowledged and %d failed, the log holds %d more than before: duplicates, or another producer", c.Written, unknown, stored)
	}
	return nil
}

// checkRead judges what the consumers saw.
func (r *run) checkRead(readers []*reader) {
	c := &r.report.Check
	c.Read = 0
	var foreign, backwards int64
	for _, one := range readers {
		c.Read += one.read
		c.Missing += one.missing
		c.Duplicates += one.duplicates
		c.OutOfOrder += one.late
		c.Damaged += one.damaged
		c.Aborted += one.aborted
		backwards += one.backwards
		foreign += one.foreign
	}
	for _, wrong := range []struct {
		count int64
		what  string
	}{
		{c.Missing, "records were acknowledged and did not come"},
		{c.Duplicates, "records came again"},
		{c.OutOfOrder, "records came after a later one of their producer and partition"},
		{c.Damaged, "records came with another content than was written"},
		{c.Aborted, "records of aborted transactions were shown to a reader of committed data"},
		{backwards, "records came with an offset below the one before"},
	} {
		if wrong.count > 0 {
			c.problemf("%d %s", wrong.count, wrong.what)
		}
	}
	if foreign > 0 && r.own {
		c.Damaged += foreign
		c.problemf("%d records in the run's own topic are not the run's", foreign)
	}
}
