package protocol

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An API is one row of a Table: a key, the versions that are served, and the
// handler. It is made by On or OnReply.
type API struct {
	key, min, max int16
	// newest is the newest version that kmsg can decode.
	newest int16
	// flexible says for each version up to newest whether it uses KIP-482, and
	// shapes how its requests lie on the wire, found when first asked.
	flexible    []bool
	shapes      []func() *shape
	newRequest  func() kmsg.Request
	newResponse func() kmsg.Response
	// serve decodes body, which was checked, calls the handler and appends the response's body.
	// A nil dst without error means that there is no answer.
	serve func(ctx context.Context, version int16, body, dst []byte) ([]byte, error)
	// fail appends the body of a response that holds err alone.
	fail func(version int16, err error, dst []byte) ([]byte, error)
}

// Key is the API key.
func (a API) Key() int16 { return a.key }

// Versions are the lowest and highest served.
func (a API) Versions() (lowest, highest int16) { return a.min, a.max }

// Name is Kafka's name of the API, such as "InitProducerId".
func (a API) Name() string { return kmsg.NameForKey(a.key) }

// NewRequest is an empty request of this API at the highest served version.
func (a API) NewRequest() kmsg.Request {
	r := a.newRequest()
	r.SetVersion(a.max)
	return r
}

// On makes a row whose key comes from the request type. The handler gets the
// request as sent, with nothing in it shared with the frame, and a response
// with defaults and version set, which it fills.
//
// An error of the handler fails the whole request: the answer holds its Code
// and Message where the response has a top level error code at this version,
// else the connection is closed.
func On[Q, R any, PQ interface {
	*Q
	kmsg.Request
}, PR interface {
	*R
	kmsg.Response
}](lowest, highest int16, handle func(context.Context, PQ, PR) error) API {
	a := newAPI(PQ(new(Q)), func() kmsg.Request { return PQ(new(Q)) }, lowest, highest)
	if want := a.newResponse(); reflect.TypeOf(want) != reflect.TypeFor[PR]() {
		panic(fmt.Sprintf("protocol: %T is answered by %T, not %T", PQ(new(Q)), want, PR(new(R))))
	}
	shared := holdsBytes(reflect.TypeFor[Q]())
	a.serve = func(ctx context.Context, version int16, body, dst []byte) ([]byte, error) {
		if shared {
			body = bytes.Clone(body)
		}
		request := PQ(new(Q))
		if err := a.decode(request, version, body); err != nil {
			return nil, err
		}
		response := PR(new(R))
		setDefaults(response, version)
		if err := handle(ctx, request, response); err != nil {
			return nil, err
		}
		response.SetVersion(version)
		return response.AppendTo(dst), nil
	}
	return a
}

// A Reply is the body of a response that its handler encodes, at the version
// of the request.
type Reply interface {
	AppendTo(dst []byte) ([]byte, error)
}

// OnReply makes a row whose handler encodes its own response body, for Produce
// and Fetch. A nil Reply means no answer (Produce with acks=0). The request, whose
// byte slices share the frame, is valid until the reply is encoded; then it serves
// another one. empty makes a request like a new one
// that keeps the room of its lists.
func OnReply[Q any, PQ interface {
	*Q
	kmsg.Request
}](lowest, highest int16, empty func(PQ), handle func(context.Context, PQ) (Reply, error)) API {
	a := newAPI(PQ(new(Q)), func() kmsg.Request { return PQ(new(Q)) }, lowest, highest)
	answer := func(ctx context.Context, request PQ, version int16, body, dst []byte) ([]byte, error) {
		if err := a.decode(request, version, body); err != nil {
			return nil, err
		}
		reply, err := handle(ctx, request)
		if err != nil || reply == nil {
			return nil, err
		}
		return reply.AppendTo(dst)
	}
	requests := sync.Pool{New: func() any { return PQ(new(Q)) }}
	a.serve = func(ctx context.Context, version int16, body, dst []byte) ([]byte, error) {
		request := requests.Get().(PQ)
		reply, err := answer(ctx, request, version, body, dst)
		empty(request)
		requests.Put(request) // not after a panic
		return reply, err
	}
	return a
}

func newAPI(r kmsg.Request, newRequest func() kmsg.Request, lowest, highest int16) API {
	a := API{
		key: r.Key(), min: lowest, max: highest, newest: r.MaxVersion(),
		flexible:    make([]bool, r.MaxVersion()+1),
		newRequest:  newRequest,
		newResponse: r.ResponseKind,
	}
	for v := range a.flexible {
		r.SetVersion(int16(v))
		a.flexible[v] = r.IsFlexible()
		a.shapes = append(a.shapes, sync.OnceValue(func() *shape {
			s, err := shapeOf(newRequest(), int16(v))
			if err != nil {
				panic(err) // a test covers all that kmsg has
			}
			return s
		}))
	}
	a.fail = a.appendFailure
	return a
}

// decode lets kmsg at a body that was checked against its shape.
func (a *API) decode(r kmsg.Request, version int16, body []byte) error {
	r.SetVersion(version)
	if err := r.ReadFrom(body); err != nil {
		return fmt.Errorf("%s v%d: %v: %w", kmsg.NameForKey(r.Key()), version, err, ErrClose)
	}
	return nil
}

func setDefaults(r kmsg.Response, version int16) {
	if d, ok := r.(interface{ Default() }); ok {
		d.Default()
	}
	r.SetVersion(version)
}

// appendFailure answers with an error alone. Whether this version has the top
// level error code at all is seen by encoding with and without it.
func (a *API) appendFailure(version int16, err error, dst []byte) ([]byte, error) {
	response := a.newResponse()
	setDefaults(response, version)
	plain := len(dst)
	dst = response.AppendTo(dst)
	fields := reflect.ValueOf(response).Elem()
	code := fields.FieldByName("ErrorCode")
	if !code.IsValid() || code.Kind() != reflect.Int16 {
		return nil, fmt.Errorf("%w: %w", err, ErrClose)
	}
	code.SetInt(int64(Code(err)))
	if text := fields.FieldByName("ErrorMessage"); text.IsValid() && text.Type() == reflect.TypeFor[*string]() {
		text.Set(reflect.ValueOf(Message(err)))
	}
	failed := response.AppendTo(nil)
	if bytes.Equal(failed, dst[plain:]) {
		return nil, fmt.Errorf("%w: %w", err, ErrClose)
	}
	return append(dst[:plain], failed...), nil
}

// holdsBytes says whether decoding t can leave byte slices that share the frame.
func holdsBytes(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || holdsBytes(t.Elem())
	case reflect.Pointer:
		return holdsBytes(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[kmsg.Tags]() {
			return false // nobody reads unknown tags
		}
		for i := range t.NumField() {
			if holdsBytes(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// notServed is the answer to a version of ApiVersions that we do not know.
func (a *API) notServed(dst []byte) []byte {
	response := kmsg.NewPtrApiVersionsResponse()
	response.ErrorCode = kerr.UnsupportedVersion.Code
	own := kmsg.NewApiVersionsResponseApiKey()
	own.ApiKey, own.MinVersion, own.MaxVersion = a.key, a.min, a.max
	response.ApiKeys = append(response.ApiKeys, own)
	return response.AppendTo(dst)
}
