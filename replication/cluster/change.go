package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A change is what a node asks of the metadata's leader: one of its pointers is
// set, or none, which asks only how far the leader is. It is decided there, on the newest image.
type change struct {
	CreateTopic   *TopicSpec       `json:"createTopic,omitempty"`
	DeleteTopic   *UUID            `json:"deleteTopic,omitempty"`
	AddPartitions *growth          `json:"addPartitions,omitempty"`
	Moves         *moves           `json:"moves,omitempty"`
	Moved         *moved           `json:"moved,omitempty"`
	Recover       *recoveryWant    `json:"recover,omitempty"`
	AlterConfigs  *alteration      `json:"alterConfigs,omitempty"`
	SetFeature    *setFeature      `json:"setFeature,omitempty"`
	Features      *featureUpdates  `json:"updateFeatures,omitempty"`
	Quotas        *quotaChanges    `json:"alterQuotas,omitempty"`
	Register      *Broker          `json:"registerBroker,omitempty"`
	Unregister    *unregister      `json:"unregisterBroker,omitempty"`
	ProducerIDs   *producerIDsWant `json:"producerIds,omitempty"`
}

// growth makes a topic have count partitions.
type growth struct {
	ID           UUID      `json:"id"`
	Count        int32     `json:"count"`
	Assignments  [][]int32 `json:"assignments,omitempty"`
	ValidateOnly bool      `json:"validateOnly,omitempty"`
}

// alteration changes configurations by operations or, without any, replaces them.
type alteration struct {
	Resource     Resource          `json:"resource"`
	Ops          []ConfigOp        `json:"ops,omitempty"`
	Replace      map[string]string `json:"replace,omitempty"`
	Replaces     bool              `json:"replaces,omitempty"`
	ValidateOnly bool              `json:"validateOnly,omitempty"`
}

type producerIDsWant struct {
	Broker int32 `json:"broker"`
}

// An outcome is what became of a change.
type outcome struct {
	Offset int64        `json:"offset"` // of the image that holds it
	Topic  *Topic       `json:"topic,omitempty"`
	IDs    *producerIDs `json:"producerIds,omitempty"`
	// Refused are those of several that were not decided, in their order.
	Refused []refused `json:"refused,omitempty"`

	Code    int16  `json:"code,omitempty"` // 0: it was made
	Message string `json:"message,omitempty"`
}

// changeRetry is the rest before a change is asked for again while the metadata
// has no leader, changeTimeout how long that goes on.
const (
	changeRetry   = 20 * time.Millisecond
	changeTimeout = 5 * time.Second
)

// change has the metadata's leader decide, wherever it is, and returns once this
// node has applied the outcome. It waits, bounded, while nobody leads.
//
// Errors: those of the change, NOT_CONTROLLER.
func (m *Metadata) change(ctx context.Context, c change) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for {
		out, err := m.changeOnce(ctx, c)
		if !errors.Is(err, kerr.NotController) || m.cfg.Forward == nil {
			return out, err
		}
		select {
		case <-time.After(changeRetry):
		case <-ctx.Done():
			return out, err
		}
	}
}

func (m *Metadata) changeOnce(ctx context.Context, c change) (outcome, error) {
	leader := m.cfg.Leader()
	if m.cfg.Forward == nil || leader == m.cfg.NodeID || leader < 0 {
		return m.decide(ctx, c)
	}
	out, err := m.forward(ctx, leader, c)
	if err != nil {
		return out, err
	}
	if c.Unregister != nil && c.Unregister.Broker == m.cfg.NodeID {
		return out, nil // this node may never hear of it
	}
	return out, m.awaitImage(ctx, out.Offset)
}

// forward asks the leader on another node. A node that cannot be asked may have
// decided all the same: what it did is not repeated.
func (m *Metadata) forward(ctx context.Context, leader int32, c change) (out outcome, err error) {
	request, err := json.Marshal(c)
	if err != nil {
		return out, fmt.Errorf("metadata: %w", err)
	}
	answer, err := m.cfg.Forward(ctx, leader, request)
	if err != nil {
		return out, fmt.Errorf("metadata: node %d, which leads, does not answer: %w: %w", leader, err, kerr.RequestTimedOut)
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, fmt.Errorf("metadata: answer of node %d: %w", leader, err)
	}
	if out.Code != 0 {
		return out, remoteError{text: out.Message, cause: kerr.ErrorForCode(out.Code)}
	}
	return out, nil
}

// A remoteError is a refusal in other words than ours: another node's, or Kafka's.
type remoteError struct {
	text  string
	cause error
}

func (e remoteError) Error() string { return e.text }
func (e remoteError) Unwrap() error { return e.cause }

// refuse is a refusal in Kafka's words.
func refuse(code *kerr.Error, format string, args ...any) error {
	return remoteError{text: fmt.Sprintf(format, args...), cause: code}
}

// Serve decides a change that another node forwards and returns the outcome.
func (m *Metadata) Serve(ctx context.Context, request []byte) ([]byte, error) {
	var c change
	if err := json.Unmarshal(request, &c); err != nil {
		return nil, fmt.Errorf("metadata: a change that is none: %w", err)
	}
	out, err := m.decide(ctx, c)
	if err != nil {
		out = outcome{Code: kerr.UnknownServerError.Code, Message: err.Error()}
		var code *kerr.Error
		if errors.As(err, &code) {
			out.Code = code.Code
		}
	}
	return json.Marshal(out)
}

// awaitImage waits until this node has applied the metadata up to an offset.
func (m *Metadata) awaitImage(ctx context.Context, offset int64) error {
	for {
		changed := m.Changed()
		if m.Image().Offset >= offset {
			return nil
		}
		if err := m.shard.View(ctx, func(*view) {}); err != nil { // what is committed here is applied now
			return err
		}
		if m.Image().Offset >= offset {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("metadata: this node has not caught up with offset %d: %w", offset, kerr.RequestTimedOut)
		}
	}
}

// decide makes a change on this node, which leads.
func (m *Metadata) decide(ctx context.Context, c change) (out outcome, err error) {
	in := given{id: NewUUID(), time: time.Now().UnixMilli(), random: rand.Int(), fenced: m.fenced(c)}
	err = m.update(ctx, func(img *Image) (commands []command, err error) {
		switch {
		case c.CreateTopic != nil:
			topic, err := decideTopic(img, *c.CreateTopic, m.cfg.Rules, in)
			if out.Topic = &topic; err != nil || c.CreateTopic.ValidateOnly {
				return nil, err
			}
			return []command{{CreateTopic: &topic}}, nil
		case c.DeleteTopic != nil:
			return decideDelete(img, *c.DeleteTopic, in.time)
		case c.AddPartitions != nil:
			g := c.AddPartitions
			added, err := decideGrow(img, g.ID, g.Count, g.Assignments, in)
			if err != nil || g.ValidateOnly {
				return nil, err
			}
			return []command{{AddPartition: &addPartitions{ID: g.ID, Partitions: added}}}, nil
		case c.Moves != nil:
			commands, out.Refused = decideMoves(img, *c.Moves)
			return commands, nil
		case c.Moved != nil:
			return decideMoved(img, *c.Moved), nil
		case c.Recover != nil:
			return decideRecovery(img, *c.Recover)
		case c.AlterConfigs != nil:
			return m.decideAlteration(img, *c.AlterConfigs)
		case c.SetFeature != nil:
			return decideFeature(img, c.SetFeature.Name, c.SetFeature.Level)
		case c.Features != nil:
			return decideUpdates(img, *c.Features, m.cfg.NodeID)
		case c.Quotas != nil:
			commands, out.Refused = decideQuotas(img, *c.Quotas)
			return commands, nil
		case c.Register != nil:
			return decideRegister(img, *c.Register)
		case c.Unregister != nil:
			return decideUnregister(img, c.Unregister.Broker)
		case c.ProducerIDs != nil:
			out.IDs, err = decideProducerIDs(img, c.ProducerIDs.Broker)
			return []command{{ProducerIDs: out.IDs}}, err
		default:
			return nil, nil
		}
	})
	out.Offset = m.Image().Offset
	return out, err
}

// fenced are the silent brokers, where a change places something.
func (m *Metadata) fenced(c change) map[int32]bool {
	if m.cfg.Fenced == nil || c.CreateTopic == nil && c.AddPartitions == nil {
		return nil
	}
	fenced := map[int32]bool{}
	for _, b := range m.Image().Brokers() {
		fenced[b.ID] = m.cfg.Fenced(b.ID)
	}
	return fenced
}

func (m *Metadata) decideAlteration(img *Image, a alteration) (commands []command, err error) {
	if a.Replaces {
		commands, err = decideReplaced(img, m.cfg.Rules, a.Resource, a.Replace)
	} else {
		commands, err = decideConfigs(img, m.cfg.Rules, a.Resource, a.Ops)
	}
	if a.ValidateOnly {
		commands = nil
	}
	return commands, err
}
