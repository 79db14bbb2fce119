package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication/shard"
)

const (
	// markerWait is how long a request of the next transaction waits for markers
	// in flight, and any request for a move of the same id that is being stored,
	// before it is told CONCURRENT_TRANSACTIONS (hard-18). Kafka sleeps 20 ms
	// there, blindly (add.partitions.to.txn.retry.backoff.ms).
	markerWait = 100 * time.Millisecond
	// loadWait is added while the coordinator is loading: its shard parks requests.
	loadWait = 500 * time.Millisecond
)

// Config is what a coordinator needs. Zero values are Kafka's defaults.
type Config struct {
	Markers Markers
	IDs     ProducerIDs
	// Deleted says that a topic id belonged to a topic that was deleted. nil: none.
	Deleted func(topicID [16]byte) bool
	// Partitions is the partition count of __transaction_state. nil: 50
	// (transaction.state.log.num.partitions).
	Partitions func() int32
	// TransactionVersion is the finalized transaction.version: how this node
	// itself ends transactions. nil: TV2.
	TransactionVersion func() int16
	MaxTimeout         time.Duration // 0: 15 min (transaction.max.timeout.ms)
	IDExpiration       time.Duration // 0: 7 days (transactional.id.expiration.ms)
	IDExpiryInterval   time.Duration // 0: 1 h (transaction.remove.expired.transaction.cleanup.interval.ms)
	Logger             *slog.Logger  // nil: discard
}

func (c Config) withDefaults() Config {
	if c.Deleted == nil {
		c.Deleted = func([16]byte) bool { return false }
	}
	if c.Partitions == nil {
		c.Partitions = func() int32 { return 50 }
	}
	if c.TransactionVersion == nil {
		c.TransactionVersion = func() int16 { return TV2 }
	}
	for _, d := range []struct {
		set      *time.Duration
		fallback time.Duration
	}{{&c.MaxTimeout, 15 * time.Minute}, {&c.IDExpiration, 7 * 24 * time.Hour}, {&c.IDExpiryInterval, time.Hour}} {
		if *d.set == 0 {
			*d.set = d.fallback
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Coordinator serves the transactional ids whose __transaction_state partition
// this node leads. All methods may be called concurrently; the requests of one
// transactional id are decided one after the other.
type Coordinator struct {
	cfg    Config
	ids    *ids
	logger *slog.Logger

	mu         sync.RWMutex
	partitions map[int32]*partition
	closed     bool
}

// New returns a coordinator that leads nothing yet.
func New(cfg Config) *Coordinator {
	cfg = cfg.withDefaults()
	return &Coordinator{cfg: cfg, ids: newIDs(cfg.IDs), logger: cfg.Logger, partitions: map[int32]*partition{}}
}

// Lead serves a partition of __transaction_state whenever this node leads it. It
// is called once per replica on this node; the shard follows its leadership.
func (c *Coordinator) Lead(number int32, p shard.Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.partitions[number] != nil {
		return
	}
	c.partitions[number] = openPartition(c, number, p)
}

// Resign stops serving a partition, when its replica leaves this node, and waits
// for what was under way.
func (c *Coordinator) Resign(number int32) {
	c.mu.Lock()
	p := c.partitions[number]
	delete(c.partitions, number)
	c.mu.Unlock()
	if p != nil {
		p.close()
	}
}

// Close stops serving and waits for every goroutine. Open transactions stay open
// and prepared ones prepared, as the log has them.
func (c *Coordinator) Close() {
	c.mu.Lock()
	all := c.partitions
	c.partitions, c.closed = map[int32]*partition{}, true
	c.mu.Unlock()
	for _, p := range all {
		p.cancel()
	}
	for _, p := range all {
		p.close()
	}
	c.ids.close()
}

// Partition is the partition of __transaction_state that holds a transactional id.
func (c *Coordinator) Partition(id string) int32 {
	return shard.PartitionFor(id, c.cfg.Partitions())
}

// find returns the partition that serves a transactional id here.
func (c *Coordinator) find(id string) (*partition, error) {
	if id == "" || len(id) > math.MaxInt16 { // a longer one does not fit into a record's key
		return nil, fmt.Errorf("transactional id of %d bytes: %w", len(id), kerr.InvalidRequest)
	}
	number := c.Partition(id)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p := c.partitions[number]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("partition %d is not on this node: %w", number, kerr.NotCoordinator)
}

func (c *Coordinator) deleted(topicID [16]byte) bool {
	return topicID != ([16]byte{}) && c.cfg.Deleted(topicID)
}

// InitProducerIDRequest is InitProducerId for a transactional id.
type InitProducerIDRequest struct {
	TransactionalID string
	Timeout         time.Duration // of its transactions (transaction.timeout.ms)
	ProducerID      int64         // what the client holds (KIP-360), or NoProducerID
	ProducerEpoch   int16         // or NoProducerEpoch
	Version         int16
}

// ProducerIDAndEpoch is what a producer stamps its batches with.
type ProducerIDAndEpoch struct {
	ID    int64
	Epoch int16
}

var noProducer = ProducerIDAndEpoch{NoProducerID, NoProducerEpoch}

// NewProducerID answers InitProducerId without a transactional id, on any node.
//
// Errors: CoordinatorLoadInProgress.
func (c *Coordinator) NewProducerID(ctx context.Context) (ProducerIDAndEpoch, error) {
	id, err := c.ids.next(ctx)
	if err != nil {
		return noProducer, err
	}
	return ProducerIDAndEpoch{ID: id}, nil
}

// InitProducerID gives a producer its id and epoch, and fences the ones before.
// An open transaction is aborted first; meanwhile the answer is
// ConcurrentTransactions. It does not wait for markers.
//
// Errors: InvalidRequest, InvalidTransactionTimeout, ConcurrentTransactions,
// ProducerFenced (InvalidProducerEpoch below v4), NotCoordinator,
// CoordinatorLoadInProgress, CoordinatorNotAvailable.
func (c *Coordinator) InitProducerID(ctx context.Context, r InitProducerIDRequest) (ProducerIDAndEpoch, error) {
	p, err := c.find(r.TransactionalID)
	switch {
	case err != nil:
		return noProducer, err
	case (r.ProducerID == NoProducerID) != (r.ProducerEpoch == NoProducerEpoch):
		return noProducer, fmt.Errorf("producer id %d with epoch %d: %w", r.ProducerID, r.ProducerEpoch, kerr.InvalidRequest)
	case r.Timeout <= 0 || r.Timeout > c.cfg.MaxTimeout:
		return noProducer, fmt.Errorf("transaction timeout %v, the largest is %v: %w", r.Timeout, c.cfg.MaxTimeout, kerr.InvalidTransactionTimeout)
	}
	out, err := p.request(ctx, r.TransactionalID, func(t *Transaction, newID int64, now time.Time) (outcome, error) {
		return decideInit(t, initRequest{
			timeout: r.Timeout, expectedID: r.ProducerID, expectedEpoch: r.ProducerEpoch,
			newID: newID, serverVersion: c.cfg.TransactionVersion(), now: now,
		})
	})
	if err == nil {
		err = out.err
	}
	if err != nil {
		return noProducer, fencedBelow(4, r.Version, err)
	}
	return ProducerIDAndEpoch{out.producerID, out.producerEpoch}, nil
}

// EndTxnRequest is EndTxn.
type EndTxnRequest struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Commit          bool // else abort
	Version         int16
}

// EndTxn commits or aborts the open transaction. It returns once that is decided
// and committed; the markers follow. From v5 on it returns what the next
// transaction is stamped with (KIP-890), before -1 and -1.
//
// Errors: InvalidRequest, InvalidProducerIDMapping, ProducerFenced
// (InvalidProducerEpoch below v2), InvalidTxnState, ConcurrentTransactions, and
// those of finding the coordinator.
func (c *Coordinator) EndTxn(ctx context.Context, r EndTxnRequest) (ProducerIDAndEpoch, error) {
	p, err := c.find(r.TransactionalID)
	if err != nil {
		return noProducer, err
	}
	clientVersion := TV0
	if r.Version > 4 {
		clientVersion = TV2
	}
	out, err := p.request(ctx, r.TransactionalID, func(t *Transaction, newID int64, now time.Time) (outcome, error) {
		return decideEnd(t, endRequest{
			producerID: r.ProducerID, producerEpoch: r.ProducerEpoch, commit: r.Commit,
			newID: newID, clientVersion: clientVersion, now: now,
		})
	})
	if err != nil {
		return noProducer, fencedBelow(2, r.Version, err)
	}
	return ProducerIDAndEpoch{out.producerID, out.producerEpoch}, nil
}

// request is update for a client: it waits for another move of the same id, and
// for a coordinator that is loading, but not for ever.
func (p *partition) request(ctx context.Context, id string, decide decider) (outcome, error) {
	bound, cancel := p.bounded(ctx)
	defer cancel()
	out, err := p.update(bound, id, decide)
	return out, wireError(ctx, bound, err)
}

func (p *partition) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := markerWait
	if !p.shard.Ready() {
		wait += loadWait
	}
	return context.WithTimeout(ctx, wait)
}

// wireError turns what the shard says into what a client of a transaction
// coordinator understands, as Kafka's TransactionStateManager does.
func wireError(ctx, bound context.Context, err error) error {
	if err == nil {
		return nil
	}
	var code *kerr.Error
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, shard.ErrBusy), bound.Err() != nil && !errors.As(err, &code):
		return fmt.Errorf("another request of the transactional id is under way: %w: %w", err, kerr.ConcurrentTransactions)
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend),
		errors.Is(err, kerr.RequestTimedOut), errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("the state was not stored (%v): %w", err, kerr.CoordinatorNotAvailable)
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.KafkaStorageError):
		return fmt.Errorf("the state was not stored (%v): %w", err, kerr.NotCoordinator)
	}
	return err
}

// fencedBelow gives clients older than a version the code they know for a fenced
// producer (KIP-588, hard-21).
func fencedBelow(knows, version int16, err error) error {
	if version < knows && errors.Is(err, kerr.ProducerFenced) && !planted.Is(planted.FencedTold) {
		return fmt.Errorf("%v: %w", err, kerr.InvalidProducerEpoch)
	}
	return err
}
