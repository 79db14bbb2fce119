package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ListRequest is ListTransactions: what is left empty filters nothing (KIP-664,
// KIP-994, KIP-1152).
type ListRequest struct {
	ProducerIDs []int64
	States      []string      // Kafka's names
	Duration    time.Duration // only transactions that began longer ago; negative: all
	Pattern     string        // a regular expression for the whole transactional id
}

// ListReply is what ListTransactions tells.
type ListReply struct {
	UnknownStates []string
	Transactions  []Listed // by transactional id
}

// A Listed transactional id.
type Listed struct {
	TransactionalID string
	ProducerID      int64
	State           State
}

// A listFilter is a ListRequest made ready.
type listFilter struct {
	ids      []int64
	byState  bool
	states   []State
	duration time.Duration
	pattern  *regexp.Regexp
	now      time.Time
}

// List shows the transactional ids that this node coordinates.
//
// Errors: InvalidRegularExpression, CoordinatorLoadInProgress while any partition
// is loading. Source: listTransactionStates of Kafka 4.3.1.
func (c *Coordinator) List(ctx context.Context, r ListRequest) (ListReply, error) {
	f := listFilter{ids: r.ProducerIDs, byState: len(r.States) > 0, duration: r.Duration, now: time.Now()}
	reply := ListReply{UnknownStates: []string{}, Transactions: []Listed{}}
	for _, name := range r.States {
		if s, ok := ParseState(name); ok {
			f.states = append(f.states, s)
		} else {
			reply.UnknownStates = append(reply.UnknownStates, name)
		}
	}
	if r.Pattern != "" {
		var err error
		if f.pattern, err = regexp.Compile(`\A(?:` + r.Pattern + `)\z`); err != nil {
			return reply, fmt.Errorf("pattern %q: %v: %w", r.Pattern, err, kerr.InvalidRegularExpression)
		}
	}
	for _, p := range c.all() {
		err := p.shard.Answer(ctx, func(v *view) {
			for id, e := range v.entries {
				if f.includes(id, e.txn) {
					reply.Transactions = append(reply.Transactions, Listed{id, e.txn.ProducerID, e.txn.State})
				}
			}
		})
		if err != nil && !errors.Is(err, kerr.NotCoordinator) {
			return reply, err
		}
	}
	slices.SortFunc(reply.Transactions, func(a, b Listed) int { return cmp.Compare(a.TransactionalID, b.TransactionalID) })
	return reply, nil
}

// includes compares like Kafka: an id that never had a transaction began at -1,
// so a duration does not leave it out.
func (f listFilter) includes(id string, t *Transaction) bool {
	switch {
	case len(f.ids) > 0 && !slices.Contains(f.ids, t.ProducerID):
		return false
	case f.byState && !slices.Contains(f.states, t.State):
		return false
	case f.duration >= 0 && f.now.UnixMilli()-t.StartTime <= f.duration.Milliseconds():
		return false
	}
	return f.pattern == nil || f.pattern.MatchString(id)
}

func (c *Coordinator) all() []*partition {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*partition, 0, len(c.partitions))
	for _, p := range c.partitions {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *partition) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Describe returns a copy of the state of a transactional id.
//
// Errors: InvalidRequest, TransactionalIDNotFound, and those of finding the
// coordinator. Source: KIP-664.
func (c *Coordinator) Describe(ctx context.Context, id string) (Transaction, error) {
	p, err := c.find(id)
	if err != nil {
		return Transaction{}, err
	}
	var t *Transaction
	if err := p.shard.Answer(ctx, func(v *view) { t = v.get(id) }); err != nil {
		return Transaction{}, err
	}
	if t == nil {
		return Transaction{}, fmt.Errorf("transactional id %q: %w", id, kerr.TransactionalIDNotFound)
	}
	d := *t
	d.Participants = slices.Clone(t.Participants)
	return d, nil
}
