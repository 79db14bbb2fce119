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
		Markers: markers{b: b, sessions: b.markerSessions}, IDs: b.metadata, Logger: b.logger,
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

// markers ends transactions on the partitions that took part, wherever their
// leaders are.
type markers struct {
	b        *Broker
	sessions *txn.Sessions
}

// WriteMarker has the partition's leader append the marker.
func (m markers) WriteMarker(ctx context.Context, w txn.Marker) error {
	t, err := m.b.topicOf(w.Participant)
	if err != nil {
		return err
	}
	leader := m.b.leaderOf(ctx, t, w.Partition)
	if leader < 0 || leader == m.b.nodeID() {
		return m.writeHere(ctx, w)
	}
	answer, err := askPeer[txn.Marker, peerError](ctx, m.b, leader, peerMarker, w)
	if err != nil {
		return fmt.Errorf("marker for %v: %w", w, err)
	}
	return answer.err(leader)
}

// writeHere appends the marker unless the partition says that it is there.
func (m markers) writeHere(ctx context.Context, w txn.Marker) error {
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

// topicOf finds the topic of a transaction's partition.
func (b *Broker) topicOf(w txn.Participant) (*topic, error) {
	t, _, err := b.topics.load().resolve(w.Topic, w.TopicID, w.TopicID != [16]byte{}, w.Partition)
	if t == nil {
		return nil, fmt.Errorf("marker for %v: %w", w, err)
	}
	return t, nil
}

// ensure asks the coordinator of a transactional id, wherever it is, whether
// partitions are in its transaction.
func (b *Broker) ensure(ctx context.Context, r txn.EnsureRequest) []error {
	if t, ok := b.topics.load().byName(txnTopic); ok && b.plan.joins() {
		if i := b.txns.Partition(r.TransactionalID); int(i) < len(t.partitions) {
			if leader := b.leaderOf(ctx, t, i); leader >= 0 && leader != b.nodeID() {
				return b.ensureAt(ctx, leader, r)
			}
		}
	}
	return b.txns.Ensure(ctx, r)
}

func (b *Broker) ensureAt(ctx context.Context, node int32, r txn.EnsureRequest) []error {
	answers, err := askPeer[txn.EnsureRequest, []peerError](ctx, b, node, peerEnsure, r)
	if err == nil && len(answers) != len(r.Participants) {
		err = fmt.Errorf("node %d answered for %d of %d partitions: %w", node, len(answers), len(r.Participants), kerr.UnknownServerError)
	}
	errs := make([]error, len(r.Participants))
	for i := range errs {
		if errs[i] = r.Translate(err); err == nil {
			errs[i] = answers[i].err(node)
		}
	}
	return errs
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
