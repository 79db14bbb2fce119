package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// A UUID is a topic id or another 128-bit identity, in Kafka's byte order.
type UUID [16]byte

// MetadataTopicID is the reserved id of __cluster_metadata. Source:
// org.apache.kafka.common.Uuid.METADATA_TOPIC_ID.
var MetadataTopicID = UUID{15: 1}

// encoding is how Kafka writes ids as text: 22 characters, no padding.
var encoding = base64.RawURLEncoding.Strict()

// NewUUID makes a random id (version 4) whose text does not begin with '-',
// which command lines would take for an option. Source: Uuid.randomUuid.
func NewUUID() UUID {
	for {
		var id UUID
		rand.Read(id[:]) // never fails (crypto/rand)
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// String is the text form that Kafka's tools show.
func (id UUID) String() string { return encoding.EncodeToString(id[:]) }

// ParseUUID reads the text form.
func ParseUUID(text string) (UUID, error) {
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) != len(UUID{}) {
		return UUID{}, fmt.Errorf("%q is not a uuid", text)
	}
	return UUID(b), nil
}

// MarshalText implements encoding.TextMarshaler.
func (id UUID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *UUID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseUUID(string(text))
	return err
}
