package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

// Update decides a change of what key names, appends it, and returns once it is
// committed and in the view. offset is that of the first record, -1 if decide
// asked for none.
//
// The key is held meanwhile: other updates of it wait, as long as their ctx
// allows (ErrBusy after). decide runs under the view lock on a view of everything
// committed; it is pure: it neither blocks nor changes the view. Its error is
// returned as it is, and nothing is appended. ctx bounds the waiting before
// decide, not the append: once enqueued, a record takes its course.
//
// Errors: COORDINATOR_LOAD_IN_PROGRESS while loading; NOT_COORDINATOR when this
// node does not lead, or stopped leading, or may have been replaced (ErrFenced),
// or an append ended in doubt (the record
// may be committed or not: the shard replays before it serves again, hard-18);
// COORDINATOR_NOT_AVAILABLE when the log cannot be replayed; otherwise why the
// partition refused the append.
func (s *Shard[V]) Update(ctx context.Context, key string, decide func(view V, epoch int32) (Write, error)) (offset int64, err error) {
	t, err := s.serving(ctx)
	if err != nil {
		return -1, err
	}
	held, err := t.keys.hold(ctx, key, t.over)
	if err != nil {
		return -1, err
	}
	defer t.keys.release(key, held)
	if err := s.catchUp(ctx, t.replay); err != nil {
		return -1, err
	}
	offset, err = s.write(t, decide)
	if err != nil || offset < 0 {
		return -1, err
	}
	if err := s.catchUp(s.ctx, t.replay); err != nil {
		t.end()
		return -1, err
	}
	if s.current() != t {
		return -1, errNotCoordinator("leadership ended")
	}
	return offset, nil
}

// View runs fn under the view lock on a view of everything committed. fn reads
// and must not block. A following view answers on every node; else the errors
// are those of Update, and ErrFenced. fn did not run when it fails.
func (s *Shard[V]) View(ctx context.Context, fn func(view V)) error {
	if s.opts.Follow {
		return s.follow(ctx, fn)
	}
	t, err := s.serving(ctx)
	if err != nil {
		return err
	}
	if err := s.catchUp(ctx, t.replay); err != nil {
		return err
	}
	t.replay.mu.Lock()
	defer t.replay.mu.Unlock()
	if t.hasEnded() {
		return errNotCoordinator("leadership ended")
	}
	if err := s.unfenced(); err != nil {
		return err
	}
	fn(t.replay.view)
	return nil
}

// Answer is View for what is answered: when it fails, what fn read must not be
// used. A process that was stopped behind the look finds out (hard-24).
func (s *Shard[V]) Answer(ctx context.Context, fn func(view V)) error {
	if err := s.View(ctx, fn); err != nil || s.opts.Follow {
		return err
	}
	return s.unfenced()
}

// unfenced says whether the view is surely not older than another leader's.
func (s *Shard[V]) unfenced() error {
	if s.p.Leadership().Fenced {
		return fmt.Errorf("%w: %w", ErrFenced, kerr.NotCoordinator)
	}
	return nil
}

func (s *Shard[V]) follow(ctx context.Context, fn func(view V)) error {
	r := s.replay.Load()
	if err := s.catchUp(ctx, r); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(r.view)
	return nil
}

// write decides and appends. The caller holds the key.
func (s *Shard[V]) write(t *term[V], decide func(V, int32) (Write, error)) (offset int64, err error) {
	if err := t.enter(); err != nil {
		return -1, err
	}
	defer t.updates.Done()
	w, err := t.decide(decide)
	if err != nil || len(w.Records) == 0 {
		return -1, cmp.Or(s.unfenced(), err)
	}
	offset, err = s.p.Append(s.ctx, w.batch(), AppendOptions{Epoch: t.epoch, Guard: w.Guard, TV2: w.TV2})
	if err == nil {
		return offset, nil
	}
	if errors.Is(err, ErrRefused) {
		return -1, refused(err)
	}
	t.end()
	s.nudge()
	if s.ctx.Err() != nil {
		return -1, errNotCoordinator("shard is closed")
	}
	s.logger.Warn("append ended in doubt; the shard replays", "leader_epoch", t.epoch, "err", err)
	return -1, errNotCoordinator(fmt.Sprintf("append ended in doubt (%v)", err))
}

// refused is what a coordinator's client hears of a refusal: of a replica that
// does not lead or has no disk, that the coordinator is elsewhere. Source:
// org.apache.kafka.coordinator.group.GroupCoordinatorService.
func refused(err error) error {
	for _, gone := range []error{kerr.NotLeaderForPartition, kerr.KafkaStorageError} {
		if errors.Is(err, gone) {
			return errNotCoordinator(err.Error())
		}
	}
	return err
}

func (t *term[V]) decide(decide func(V, int32) (Write, error)) (Write, error) {
	t.replay.mu.Lock()
	defer t.replay.mu.Unlock()
	if t.hasEnded() {
		return Write{}, errNotCoordinator("leadership ended")
	}
	return decide(t.replay.view, t.epoch)
}

// batch encodes the records as one batch.
func (w Write) batch() record.Batch {
	opts := record.NoProducer()
	if w.Transactional {
		opts.ProducerID, opts.ProducerEpoch, opts.Transactional = w.ProducerID, w.ProducerEpoch, true
	}
	b := record.NewBuilder(opts)
	for _, rec := range w.Records {
		b.Append(rec)
	}
	return b.Build()
}

// catchUp brings the view to the high watermark.
func (s *Shard[V]) catchUp(ctx context.Context, r *replay[V]) error {
	err := r.advance(ctx, s.p)
	if err == nil || errors.Is(err, errDropped) {
		return err
	}
	if ctx.Err() != nil {
		if s.ctx.Err() != nil {
			return errNotCoordinator("shard is closed")
		}
		return err
	}
	s.nudge() // run finds out whether that passes
	return errFailed(err)
}

// current is the term that this node may serve under now, nil if none.
func (s *Shard[V]) current() *term[V] {
	t, l := s.term.Load(), s.p.Leadership()
	if t == nil || t.hasEnded() || !l.Ready || l.Epoch != t.epoch {
		return nil
	}
	return t
}

// serving returns the current term. While this node leads and loads, it parks
// the request (hard-31).
func (s *Shard[V]) serving(ctx context.Context) (*term[V], error) {
	if t := s.current(); t != nil {
		return t, nil
	}
	if s.opts.Park < 0 {
		s.nudge()
		return nil, s.unserved()
	}
	timer := time.NewTimer(s.opts.Park)
	defer timer.Stop()
	for {
		changed, moved := *s.changed.Load(), s.p.Moved()
		if t := s.current(); t != nil {
			return t, nil
		}
		if s.ctx.Err() != nil || !s.p.Leadership().Leading || s.failed() != nil {
			s.nudge()
			return nil, s.unserved()
		}
		s.nudge()
		select {
		case <-changed:
		case <-moved:
		case <-timer.C:
			return nil, s.unserved()
		case <-ctx.Done():
			return nil, s.unserved()
		case <-s.ctx.Done():
		}
	}
}

// WaitReady waits until updates are served, or ctx ends. It waits through
// leaderships of other nodes and failures.
func (s *Shard[V]) WaitReady(ctx context.Context) error {
	for {
		changed, moved := *s.changed.Load(), s.p.Moved()
		if s.current() != nil && s.failed() == nil {
			return nil
		}
		s.nudge()
		select {
		case <-changed:
		case <-moved:
		case <-s.ctx.Done():
			return errNotCoordinator("shard is closed")
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", s.unserved(), context.Cause(ctx))
		}
	}
}

// failed is the failure of the present leadership, nil if there is none.
func (s *Shard[V]) failed() *failure {
	if f := s.failure.Load(); f != nil && f.epoch == s.p.Leadership().Epoch {
		return f
	}
	return nil
}

// unserved says why there is no term.
func (s *Shard[V]) unserved() error {
	switch f := s.failed(); {
	case s.ctx.Err() != nil:
		return errNotCoordinator("shard is closed")
	case !s.p.Leadership().Leading:
		return errNotCoordinator("not the leader")
	case f != nil:
		return errFailed(f.err)
	default:
		return errLoading()
	}
}
