package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// Ready says that a produce would succeed: the broker listens, the metadata can
// be changed, and every partition it leads takes appends.
func (b *Broker) Ready() bool { return b.notReady() == nil }

// notReady is why a produce might fail.
func (b *Broker) notReady() error {
	select {
	case <-b.closed:
		return ErrClosed
	default:
	}
	metadata := b.node.Partition(replication.PartitionID{TopicID: cluster.MetadataTopicID})
	if metadata == nil || !b.served(metadata.Leadership()) {
		return fmt.Errorf("the metadata has no leader that serves")
	}
	for name, t := range b.topics.load().names {
		for i, p := range t.partitions {
			if p == nil && !t.isHere(i, b.nodeID()) {
				continue
			}
			if p == nil {
				return fmt.Errorf("%s-%d could not be opened", name, i)
			}
			if !b.served(p.Leadership()) {
				return fmt.Errorf("%s-%d has no leader that serves", name, i)
			}
		}
	}
	return nil
}

// served says that a partition has a leader that serves, this node or one that
// it hears.
func (b *Broker) served(l replication.Leadership) bool {
	if l.Leader == b.nodeID() {
		return l.Ready
	}
	return l.Leader >= 0 && b.node.Hears(l.Leader)
}

// MetadataOffset is how far this broker follows the metadata.
func (b *Broker) MetadataOffset() int64 { return b.topics.load().image.Offset }

// WaitReady waits until this broker follows the metadata up to an offset, such
// as another broker's MetadataOffset, and each partition that it holds has a leader.
func (b *Broker) WaitReady(ctx context.Context, upTo int64) error {
	if err := b.topics.wait(ctx, func(s *topicSet) bool { return s.image.Offset >= upTo }); err != nil {
		return fmt.Errorf("wait for the metadata up to offset %d: %w", upTo, err)
	}
	if err := b.metadata.WaitLed(ctx); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return b.topics.waitLed(ctx)
}

// leaderPatience bounds how long a start waits for the leaders of what the node
// holds before it listens: clients had better ask the others.
const leaderPatience = 2 * time.Second

// awaitLeaders waits until each partition here has a leader, or goes on without:
// those of which a majority is gone have none.
func (b *Broker) awaitLeaders(ctx context.Context) error {
	if !b.plan.joins() {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	err := b.topics.waitLed(wait)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		b.logger.Warn("the broker starts though partitions have no leader: is a majority of their replicas there?", "first", err)
		return nil
	}
	return err
}

// Handler serves GET /metrics, /healthz (the process answers) and /readyz (a
// produce would succeed).
func (b *Broker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, b.notReady()) })
	return mux
}

func answerHealth(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err) // the peer has gone if this fails
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}
