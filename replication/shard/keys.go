package shard

import (
	"context"
	"fmt"
	"sync"
)

// keys are the keys held by updates of one term. Waiters of a key are served in
// the order they came.
type keys struct {
	mu   sync.Mutex
	held map[string]*key
}

// A key is held by whoever filled its turn.
type key struct {
	turn  chan struct{} // capacity 1
	users int           // holder and waiters; guarded by keys.mu
}

// hold waits until the key is free and takes it, until release.
//
// Errors: ErrBusy with the cause when ctx ends, NotCoordinator when over closes.
func (k *keys) hold(ctx context.Context, name string, over <-chan struct{}) (*key, error) {
	slot := k.join(name)
	select {
	case slot.turn <- struct{}{}:
		return slot, nil
	default:
	}
	var err error
	select {
	case slot.turn <- struct{}{}:
		return slot, nil
	case <-over:
		err = errNotCoordinator("leadership ended")
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	k.leave(name, slot)
	return nil, err
}

// release lets the next one have a key that hold returned.
func (k *keys) release(name string, slot *key) {
	<-slot.turn
	k.leave(name, slot)
}

func (k *keys) join(name string) *key {
	k.mu.Lock()
	defer k.mu.Unlock()
	slot := k.held[name]
	if slot == nil {
		slot = &key{turn: make(chan struct{}, 1)}
		k.held[name] = slot
	}
	slot.users++
	return slot
}

func (k *keys) leave(name string, slot *key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slot.users--; slot.users == 0 {
		delete(k.held, name)
	}
}
