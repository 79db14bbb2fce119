// Package cells holds what every client library must show, said once for all Go libraries.
//
// A library is an adapter of a few methods; the cells call them and judge what comes back.
// The same four cells stand in ../../python/cells.py, ../../js/cells.js and ../../java.
package cells

import "context"

// A Record is what went in, or, with its place in the log, what came out.
type Record struct {
	Partition  int32
	Offset     int64
	Key, Value []byte
	Headers    []Header
}

// A Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// A Library is one client library.
type Library interface {
	// CreateTopic makes a topic with one replica and returns when metadata shows it, which in Kafka is later than the answer.
	CreateTopic(ctx context.Context, topic string, partitions int32) error
	// HighWatermarks returns that offset for each partition.
	HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error)
	// Committed returns the offsets that a group has committed.
	Committed(ctx context.Context, group, topic string) (map[int32]int64, error)
	// Read returns the records of each partition, from the first to the one that isLast, with no group.
	Read(ctx context.Context, topic string, partitions int32, committedOnly bool, isLast func(Record) bool) ([]Record, error)
	// Producer is an idempotent producer, and a transactional one if the id is not empty.
	Producer(ctx context.Context, transactionalID string) (Producer, error)
	// Member joins a group; the group starts at the earliest offset and commits only when told.
	Member(ctx context.Context, group, topic string) (Member, error)
	// Transformer consumes one topic in a group and produces to another, both in one transaction.
	Transformer(ctx context.Context, transactionalID, group, from, to string) (Transformer, error)
}

// A Producer sends records; each method returns when the broker has answered.
type Producer interface {
	Send(ctx context.Context, topic string, records []Record) error
	Begin(ctx context.Context) error
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
	Close()
}

// A Member is one consumer of a group.
type Member interface {
	// Assigned says how many partitions it has now.
	Assigned() int
	// Poll returns what there is, or nothing after about 100 ms.
	Poll(ctx context.Context) ([]Record, error)
	// Commit commits the offsets after all that Poll returned.
	Commit(ctx context.Context) error
	// Close leaves the group.
	Close()
}

// A Transformer is a loop of consume, transform and produce, whose offsets are part of the transaction.
type Transformer interface {
	// Attempt polls once and, if there is anything, produces f of it in one transaction.
	// It returns what it has consumed. An aborted attempt is consumed again.
	Attempt(ctx context.Context, commit bool, f func(Record) Record) ([]Record, error)
	Close()
}
