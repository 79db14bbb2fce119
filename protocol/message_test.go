package protocol

import (
	"bytes"
	"errors"
	"math/rand"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every response of kmsg that is written is read again, and cut anywhere is refused.
func TestDecodeFitsAllResponses(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for key := range kmsg.MaxKey + 1 {
		if kmsg.ResponseForKey(int16(key)) == nil {
			continue
		}
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			for version := range kmsg.ResponseForKey(int16(key)).MaxVersion() + 1 {
				for range 5 {
					decodeWritten(t, int16(key), version, random)
				}
			}
		})
	}
}

func decodeWritten(t *testing.T, key, version int16, random *rand.Rand) {
	t.Helper()
	m := kmsg.ResponseForKey(key)
	populate(reflect.ValueOf(m).Elem(), random)
	m.SetVersion(version)
	frame, err := AppendResponse(nil, 7, m)
	if err != nil {
		t.Fatal(err)
	}
	correlation, body, err := ParseResponse(key, version, frame[lengthSize:])
	if err != nil || correlation != 7 {
		t.Fatalf("v%d: correlation id %d, %v, want 7", version, correlation, err)
	}
	read := kmsg.ResponseForKey(key)
	read.SetVersion(version)
	if err := Decode(read, body); err != nil {
		t.Fatalf("v%d: %v: %x", version, err, body)
	}
	if again := read.AppendTo(nil); !bytes.Equal(again, body) {
		t.Fatalf("v%d: read and written again is %x, want %x", version, again, body)
	}
	for cut := range body {
		if err := Decode(read, body[:cut]); !errors.Is(err, ErrClose) {
			t.Fatalf("v%d: %d of %d bytes: %v, want a refusal", version, cut, len(body), err)
		}
	}
}
