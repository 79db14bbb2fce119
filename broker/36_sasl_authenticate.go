package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslAuthenticate: v0-2
//
//   - Refused on a PLAINTEXT listener, as in Kafka.
func (b *Broker) saslAuthenticate(context.Context, *kmsg.SASLAuthenticateRequest, *kmsg.SASLAuthenticateResponse) error {
	return refuse(kerr.IllegalSaslState, "SaslAuthenticate request received after successful authentication")
}
