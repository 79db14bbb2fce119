package broker

import (
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

// metrics counts what the broker does.
type metrics struct{ b *Broker }

func newMetrics(b *Broker) *metrics { return &metrics{b: b} }

// produced counts a batch that was appended.
func (m *metrics) produced(topic string, batch record.Batch) {}

// fetched counts bytes of records that were answered.
func (m *metrics) fetched(topic string, bytes int) {}

// request counts a request that was answered.
func (m *metrics) request(frame []byte, replyBytes int, took time.Duration) {}
