// Package group is the coordinator of classic consumer groups: who is a member,
// which generation and assignment they are in, and the offsets they committed,
// inside transactions and outside.
//
// Each partition of __consumer_offsets that this node leads is a shard: what the
// log holds up to the high watermark is the state, everything stored in Kafka's
// own form. Membership beyond the last stable generation lives in memory, as in
// Kafka; after a change of coordinator the members of the last stable generation
// are there again, with fresh sessions.
//
// The package knows nothing of sockets, raft or the transaction coordinator.
// Pending transactional offsets are settled by the marker that replay meets.
package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication/shard"
)

// A Coordinator serves the groups of the __consumer_offsets partitions that this
// node leads. Its methods may be called concurrently.
//
// mu guards the fields below it. It may be taken under a view lock, never the other way round.
type Coordinator struct {
	config Config
	logger *slog.Logger

	ctx    context.Context // of timers and sweeps; ended by Close
	cancel context.CancelFunc
	work   sync.WaitGroup // timers and sweeps; Add only while not closed

	mu     sync.Mutex
	closed bool
	served map[int32]*served
}

// A served is one partition of __consumer_offsets on this node.
type served struct {
	c     *Coordinator
	index int32
	shard *shard.Shard[*view]
}

// New returns a coordinator without partitions; see Lead.
func New(config Config) (*Coordinator, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Coordinator{config: config, logger: config.Logger, ctx: ctx, cancel: cancel, served: map[int32]*served{}}
	c.work.Go(c.cleanUp)
	return c, nil
}

// Close gives up all partitions, answers everybody who waits with
// NOT_COORDINATOR, and waits for the coordinator's goroutines.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.served
	c.served = map[int32]*served{}
	c.mu.Unlock()
	c.cancel()
	for _, s := range all {
		s.shard.Close()
	}
	c.work.Wait()
}

// Partition is the partition of __consumer_offsets that holds a group.
func (c *Coordinator) Partition(group string) int32 {
	return shard.PartitionFor(group, c.config.Partitions)
}

// Lead starts to serve a partition of __consumer_offsets whose replica is p. It
// returns at once and follows p's leadership from then on: requests are answered
// NOT_COORDINATOR while another node leads, COORDINATOR_LOAD_IN_PROGRESS during replay.
func (c *Coordinator) Lead(index int32, p shard.Partition) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("group coordinator is closed")
	}
	if c.served[index] != nil {
		return fmt.Errorf("partition %d of __consumer_offsets is served already", index)
	}
	s := &served{c: c, index: index}
	s.shard = shard.Open(c.ctx, p, func(int32) *view { return newView(c.logger) }, shard.Options[*view]{
		OnLoad:   s.load,
		OnUnload: s.unload,
		Logger:   c.logger.With("topic", "__consumer_offsets", "partition", index),
	})
	c.served[index] = s
	return nil
}

// Resign stops serving a partition; whoever waits is answered NOT_COORDINATOR.
func (c *Coordinator) Resign(index int32) {
	c.mu.Lock()
	s := c.served[index]
	delete(c.served, index)
	c.mu.Unlock()
	if s != nil {
		s.shard.Close()
	}
}

// begin registers a piece of background work, unless the coordinator is closed.
func (c *Coordinator) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Add(1)
	return true
}

// of is the partition that serves a group.
//
// Errors: InvalidGroupID for an id that no record can hold; NotCoordinator.
func (c *Coordinator) of(group string) (*served, error) {
	if len(group) > math.MaxInt16 {
		return nil, fmt.Errorf("group id of %d bytes: %w", len(group), kerr.InvalidGroupID)
	}
	index := c.Partition(group)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.served[index]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("partition %d of __consumer_offsets is not here: %w", index, kerr.NotCoordinator)
}

// allServed are all partitions of this moment, by index.
func (c *Coordinator) allServed() []*served {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*served, 0, len(c.served))
	for _, s := range c.served {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *served) int { return int(a.index - b.index) })
	return all
}

// cleanUp removes expired offsets and groups now and then, until Close.
func (c *Coordinator) cleanUp() {
	ticker := time.NewTicker(c.config.OffsetsRetentionCheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		for _, s := range c.allServed() {
			s.logged(s.clean(c.ctx))
		}
	}
}

// logged takes the error of a sweep that nobody waits for. What could not be
// done is left to another coordinator, or to the next round.
func (s *served) logged(err error) {
	if err != nil && s.c.ctx.Err() == nil && !errors.Is(err, kerr.NotCoordinator) && !errors.Is(err, kerr.CoordinatorLoadInProgress) {
		s.c.logger.Warn("offsets could not be removed", "partition", s.index, "err", err)
	}
}
