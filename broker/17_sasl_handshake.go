package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslHandshake: v0-1
//
//   - On a PLAINTEXT listener there is nothing to shake hands about.
func (b *Broker) saslHandshake(context.Context, *kmsg.SASLHandshakeRequest, *kmsg.SASLHandshakeResponse) error {
	return kerr.IllegalSaslState
}
