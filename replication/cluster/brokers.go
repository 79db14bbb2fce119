package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// JoinBroker makes a node known that others are to talk to from now on: it
// follows the metadata soon after. Topics are placed on it once it registers.
//
// Errors: NOT_CONTROLLER.
func (m *Metadata) JoinBroker(ctx context.Context, id int32, address, rack string) error {
	_, err := m.change(ctx, change{Register: &Broker{ID: id, Address: address, Rack: rack, Joining: true}})
	return err
}

// RegisterBroker puts a broker and its addresses into the metadata, and founds
// the cluster if there is none. It waits for a leader as long as ctx allows. The
// returned broker has the epoch of this registration.
func (m *Metadata) RegisterBroker(ctx context.Context, b Broker) (*Broker, error) {
	if _, err := m.insist(ctx, change{Register: &b}); err != nil {
		return nil, err
	}
	registered, ok := m.Image().Broker(b.ID)
	if !ok {
		return nil, fmt.Errorf("broker %d was taken off while it registered: %w", b.ID, kerr.BrokerIDNotRegistered)
	}
	return registered, nil
}

// insist makes a change that does no harm twice, again and again while the error is
// one that passes.
func (m *Metadata) insist(ctx context.Context, c change) (outcome, error) {
	for {
		out, err := m.change(ctx, c)
		if err == nil || !kerr.IsRetriable(protocolCause(err)) {
			return out, err
		}
		select {
		case <-time.After(changeRetry):
		case <-ctx.Done():
			return out, err
		}
	}
}

// protocolCause is the Kafka error that an error stands for.
func protocolCause(err error) error {
	var code *kerr.Error
	if errors.As(err, &code) {
		return code
	}
	return err
}

// UnregisterBroker takes a broker off the metadata. It waits, bounded, until the
// broker has no part in its group any more, so that it can be stopped.
//
// Errors: those of decideUnregister, NOT_CONTROLLER.
func (m *Metadata) UnregisterBroker(ctx context.Context, id int32) error {
	_, err := m.change(ctx, change{Unregister: &unregister{Broker: id}})
	if err == nil && m.group != nil {
		m.awaitGone(ctx, id)
	}
	return err
}

// goneLook is how often awaitGone looks: raft tells nobody of changed members.
const (
	goneLook    = 20 * time.Millisecond
	goneTimeout = 5 * time.Second
)

func (m *Metadata) awaitGone(ctx context.Context, id int32) {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	for slices.Contains(m.group.Voters(), id) || slices.Contains(m.group.Observers(), id) {
		select {
		case <-time.After(goneLook):
		case <-ctx.Done():
			m.logger.Warn("a broker was unregistered and has a part in the metadata still; do not stop it before the others are well", "broker", id)
			return
		}
	}
}

// decideRegister registers a broker. A broker that only joins keeps what it had
// registered before.
func decideRegister(img *Image, b Broker) ([]command, error) {
	if b.ID < 0 {
		return nil, fmt.Errorf("broker %d, want 0 or more: %w", b.ID, kerr.InvalidRequest)
	}
	if have, ok := img.Broker(b.ID); ok && b.Joining {
		if have.Address == b.Address {
			return nil, nil
		}
		moved := *have
		moved.Address = b.Address
		b = moved
	}
	return []command{{Register: &b}}, nil
}

// decideUnregister takes off a broker that holds no replica any more: those that
// it held alone would be lost, the others short of one for ever. Kafka does it
// all the same.
//
// Errors: BROKER_ID_NOT_REGISTERED, INVALID_REQUEST.
func decideUnregister(img *Image, id int32) ([]command, error) {
	if _, ok := img.Broker(id); !ok {
		return nil, told(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	}
	held, one := 0, ""
	for _, t := range img.Topics() {
		for _, p := range t.Partitions {
			if slices.Contains(p.Replicas, id) {
				held, one = held+1, fmt.Sprintf("%s-%d", t.Name, p.ID)
			}
		}
	}
	switch {
	case held > 0:
		return nil, told(kerr.InvalidRequest, "broker %d holds %d replica(s), such as that of %s: move them to other brokers first (kafka-reassign-partitions, or oncelog cluster remove %d)", id, held, one, id)
	case len(img.Brokers()) == 1:
		return nil, told(kerr.InvalidRequest, "broker %d is the only one", id)
	}
	return []command{{Unregister: &unregister{Broker: id}}}, nil
}
