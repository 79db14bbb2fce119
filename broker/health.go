package broker

import (
	"context"
	"fmt"
	"net/http"

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

// WaitReady waits until this broker knows so many brokers, and each partition
// that it holds has a leader.
func (b *Broker) WaitReady(ctx context.Context, brokers int) error {
	if err := b.topics.wait(ctx, func(s *topicSet) bool { return len(s.image.Brokers()) >= brokers }); err != nil {
		return fmt.Errorf("wait for %d brokers: %w", brokers, err)
	}
	if err := b.metadata.WaitLed(ctx); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	for _, t := range b.topics.load().names {
		for _, p := range t.partitions {
			if p == nil {
				continue // others hold it, or opening it failed, which is logged
			}
			if err := p.WaitLed(ctx); err != nil {
				return err
			}
		}
	}
	return nil
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
