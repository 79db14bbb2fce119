package protocol

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Body is a request or response of kmsg, without its header.
type Body interface {
	Key() int16
	MaxVersion() int16
	SetVersion(int16)
	GetVersion() int16
	IsFlexible() bool
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

// ParseRequest reads the header of a request frame, of which at least the header
// must lie in frame, for whoever passes requests on: a body that follows is not
// looked at. Keys and versions that kmsg does not know wrap ErrClose.
func ParseRequest(frame []byte) (r Request, body []byte, err error) {
	r, rest, err := parseHeader(frame)
	if err != nil {
		return r, nil, err
	}
	request := kmsg.RequestForKey(r.Key)
	if request == nil {
		return r, nil, fmt.Errorf("api key %d is not known: %w", r.Key, ErrClose)
	}
	if rest, err = parseClientID(&r, rest); err != nil {
		return r, nil, err
	}
	if r.Version < 0 || r.Version > request.MaxVersion() {
		return r, rest, fmt.Errorf("%s v%d, want 0 to %d: %w", kmsg.NameForKey(r.Key), r.Version, request.MaxVersion(), ErrClose)
	}
	request.SetVersion(r.Version)
	if request.IsFlexible() {
		rest, err = skipTags(rest)
	}
	return r, rest, err
}

// ParseResponse passes over the header of a response frame to a request of this
// key and version.
func ParseResponse(key, version int16, frame []byte) (correlationID int32, body []byte, err error) {
	if len(frame) < 4 {
		return 0, nil, fmt.Errorf("response of %d bytes has no header: %w", len(frame), ErrClose)
	}
	correlationID, body = int32(binary.BigEndian.Uint32(frame)), frame[4:]
	if flexibleResponse(key, version) {
		body, err = skipTags(body)
	}
	return correlationID, body, err
}

// AppendResponse appends a whole response frame, with its length.
func AppendResponse(dst []byte, correlationID int32, response kmsg.Response) ([]byte, error) {
	start := len(dst)
	dst = appendResponseHeader(dst, correlationID, flexibleResponse(response.Key(), response.GetVersion()))
	return finish(response.AppendTo(dst), start)
}

func flexibleResponse(key, version int16) bool {
	response := kmsg.ResponseForKey(key)
	if response == nil || key == keyApiVersions {
		return false
	}
	response.SetVersion(version)
	return response.IsFlexible()
}

// shapesOf are the shapes of messages that Decode has met.
var shapesOf sync.Map // of messageKind to func() (*shape, error)

type messageKind struct {
	kind    reflect.Type
	version int16
}

// Decode reads a body into m, whose version is set, and which shares the body's
// bytes. The body is walked first, so that what it says of its lengths allocates
// little more than what it holds (see shape).
func Decode(m Body, body []byte) error {
	kind := messageKind{reflect.TypeOf(m), m.GetVersion()}
	found, ok := shapesOf.Load(kind)
	if !ok {
		found, _ = shapesOf.LoadOrStore(kind, sync.OnceValues(func() (*shape, error) {
			return shapeOf(reflect.New(kind.kind.Elem()).Interface().(Body), kind.version)
		}))
	}
	s, err := found.(func() (*shape, error))()
	if err == nil {
		_, err = s.check(body)
	}
	if err == nil {
		err = m.ReadFrom(body)
	}
	if err != nil {
		return fmt.Errorf("%s v%d: %w: %w", kmsg.NameForKey(m.Key()), m.GetVersion(), err, ErrClose)
	}
	return nil
}
