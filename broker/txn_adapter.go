package broker

import (
	"context"
	"fmt"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/oncelog/oncelog/txn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// newTxns makes the transaction coordinator over this broker's partitions.
func (b *Broker) newTxns(s *settings) *txn.Coordinator {
	return txn.New(txn.Config{
		Markers: markers{b: b, sessions: new(txn.Sessions)}, IDs: b.metadata, Logger: b.logger,
		Deleted: func(id [16]byte) bool {
			_, dead := b.image().Dead(id)
			return dead
		},
		Partitions:         func() int32 { return b.partitionsOf(txnTopic, s.txnPartitions) },
		TransactionVersion: func() int16 { return b.image().Feature(cluster.TransactionVersion) },
		MaxTimeout:         s.txnMaxTimeout, IDExpiration: s.txnIDExpiration, IDExpiryInterval: s.txnRemoveInterval,
	})
}

// partitionsOf is how many partitions a topic has, or will have.
func (b *Broker) partitionsOf(name string, planned int32) int32 {
	if t, ok := b.image().Topic(name); ok {
		return int32(len(t.Partitions))
	}
	return planned
}

// markers ends transactions on this node's partitions.
type markers struct {
	b        *Broker
	sessions *txn.Sessions
}

// WriteMarker appends the marker unless the partition says that it is there.
func (m markers) WriteMarker(ctx context.Context, w txn.Marker) error {
	if err := m.sessions.Accept(w); err != nil {
		return err
	}
	p, err := m.b.participant(w.Participant)
	if err != nil {
		return err
	}
	return p.AppendMarker(ctx, log.Marker{
		ProducerID: w.ProducerID, Epoch: w.ProducerEpoch, CoordinatorEpoch: w.CoordinatorEpoch, Commit: w.Commit, TV2: w.TV2,
	})
}

// participant finds the replica of a transaction's partition: by topic id where
// the record has one, so that no marker goes to a topic made again (hard-14).
func (b *Broker) participant(w txn.Participant) (*replication.Partition, error) {
	set := b.topics.load()
	_, p, err := set.resolve(w.Topic, w.TopicID, w.TopicID != [16]byte{}, w.Partition)
	if err != nil {
		return nil, fmt.Errorf("marker for %v: %w", w, err)
	}
	if l := p.Leadership(); !l.Ready {
		return nil, fmt.Errorf("marker for %v: %w", w, kerr.NotLeaderForPartition)
	}
	return p, nil
}
