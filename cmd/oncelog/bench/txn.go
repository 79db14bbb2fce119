package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactions measures commits and aborts, and when readers of committed data
// see them.
func (r *run) transactions(ctx context.Context) error {
	senders, err := r.senders(ctx, func(i int) []kgo.Opt {
		return []kgo.Opt{kgo.TransactionalID(fmt.Sprintf("oncelog-bench-%08x-%d", uint32(r.id), i))}
	})
	if err != nil {
		return err
	}
	defer closeAll(senders)
	return r.withReaders(ctx, senders, true, func(p plan) error {
		return r.sendAll(ctx, senders, func(s *sender) error { return s.transact(ctx, p) })
	})
}

// transact makes one transaction after the other as planned.
func (s *sender) transact(ctx context.Context, p plan) (err error) {
	work := context.WithoutCancel(ctx)
	n := int64(0)
	s.pace(ctx, p, func(due time.Duration) bool {
		err = s.transaction(work, due, s.r.s.TransactionSize, !aborts(n, s.r.s.AbortRatio))
		n++
		return err == nil
	})
	return err
}

// transaction is one: so many records, and its end.
func (s *sender) transaction(ctx context.Context, due time.Duration, size int, commit bool) error {
	m := s.r.meter
	if err := s.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	flags, end, name := uint32(0), kgo.TryCommit, "commit"
	if !commit {
		flags, end, name = flagAborted, kgo.TryAbort, "abort"
	}
	for i := range size {
		if i == size-1 {
			flags |= flagLast
		}
		s.send(ctx, due, flags)
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	asked := m.now()
	if err := s.client.EndTransaction(ctx, end); err != nil {
		m.failed(fmt.Errorf("%s: %w", name, err))
		s.r.stopping.Store(true)
		if again := s.client.EndTransaction(ctx, kgo.TryAbort); again != nil {
			return errors.Join(fmt.Errorf("%s: %w", name, err), fmt.Errorf("abort after that: %w", again))
		}
		return nil
	}
	at := m.now()
	m.took("end_txn", asked, at)
	m.ended(commit, at)
	if commit {
		m.done(name, due, at, size, size*s.r.s.Size)
	} else {
		m.took(name, due, at)
	}
	return nil
}
