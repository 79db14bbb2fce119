package protocol

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Table is the set of APIs that one kind of listener serves. The ApiVersions
// answer, the dispatcher, docs/apis.md and the sweep test come from it.
//
// It is built and capped before the first Serve; from then on it is read only
// and any number of goroutines may use it.
type Table struct {
	rows []*API // by key, nil for keys that are not served

	// Unexpected, when set, is told of each handler error that has no Kafka
	// code, or that closes the connection, before Serve returns.
	Unexpected func(ctx context.Context, r *Request, err error)

	// MaxDecoded bounds the bytes of structures that all requests together are
	// decoded to, until they are answered; 0 is no limit. A request of less than
	// 64 KiB of them is not counted.
	MaxDecoded int64
	decoded    atomic.Int64
}

// decodedFree is what a request may be decoded to uncounted, in bytes.
const decodedFree = 64 << 10

// NewTable checks the rows: each key once, versions that kmsg can decode.
func NewTable(apis ...API) (*Table, error) {
	t := new(Table)
	for i := range apis {
		a := apis[i]
		if a.key < 0 || a.min < 0 || a.min > a.max || a.max > a.newest {
			return nil, fmt.Errorf("%s v%d-%d: want versions within 0-%d", a.Name(), a.min, a.max, a.newest)
		}
		if t.row(a.key) != nil {
			return nil, fmt.Errorf("%s is in the table twice", a.Name())
		}
		for len(t.rows) <= int(a.key) {
			t.rows = append(t.rows, nil)
		}
		t.rows[a.key] = &a
	}
	return t, nil
}

func (t *Table) row(key int16) *API {
	if key < 0 || int(key) >= len(t.rows) {
		return nil
	}
	return t.rows[key]
}

// Cap lowers the highest served version of a key, for demos (--api-max).
func (t *Table) Cap(key, highest int16) error {
	a := t.row(key)
	if a == nil {
		return fmt.Errorf("api key %d is not served", key)
	}
	if highest < a.min || highest > a.max {
		return fmt.Errorf("%s v%d is not within the served %d-%d", a.Name(), highest, a.min, a.max)
	}
	a.max = highest
	return nil
}

// APIs are the rows in the order of their keys.
func (t *Table) APIs() []API {
	var apis []API
	for _, a := range t.rows {
		if a != nil {
			apis = append(apis, *a)
		}
	}
	return apis
}

// ApiVersions is the list of keys for the answer to ApiVersions. The caller
// owns it.
func (t *Table) ApiVersions() []kmsg.ApiVersionsResponseApiKey {
	var list []kmsg.ApiVersionsResponseApiKey
	for _, a := range t.APIs() {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.min, a.max
		list = append(list, k)
	}
	return list
}

// Serve handles one request frame, given without its length, and appends the
// whole response frame, with its length, to dst. A nil reply without error
// means that this request gets no answer. The context must carry the Conn.
//
// Errors: all of them mean that the connection must be closed, and wrap
// ErrClose: a key or version that is not served, a malformed request, a handler
// error that the response has no place for.
func (t *Table) Serve(ctx context.Context, frame, dst []byte) ([]byte, error) {
	request, rest, err := parseHeader(frame)
	if err != nil {
		return nil, err
	}
	a := t.row(request.Key)
	if a == nil || request.Version < 0 || (request.Key != keyApiVersions && !a.serves(request.Version)) {
		return nil, fmt.Errorf("api key %d v%d is not served: %w", request.Key, request.Version, ErrClose)
	}
	request.Conn = connFrom(ctx)
	if rest, err = parseClientID(&request, rest); err != nil {
		return nil, err
	}
	flexible := a.isFlexible(request.Version)
	if flexible {
		if rest, err = skipTags(rest); err != nil {
			return nil, err
		}
	}
	start := len(dst)
	dst = appendResponseHeader(dst, request.CorrelationID, flexible && request.Key != keyApiVersions)
	if !a.serves(request.Version) {
		return finish(a.notServed(dst), start)
	}
	reply, err := t.handle(&requestContext{Context: ctx, request: request}, a, rest, dst)
	if err != nil || reply == nil {
		return nil, err
	}
	return finish(reply, start)
}

// handle calls the handler and turns its error into an answer, or into one
// that wraps ErrClose.
func (t *Table) handle(ctx *requestContext, a *API, body, dst []byte) ([]byte, error) {
	decoded, err := a.shapes[ctx.request.Version]().check(body)
	if err != nil {
		return nil, fmt.Errorf("%s v%d: %w: %w", a.Name(), ctx.request.Version, err, ErrClose)
	}
	if decoded > decodedFree {
		defer t.decoded.Add(-int64(decoded))
		if all := t.decoded.Add(int64(decoded)); t.MaxDecoded > 0 && all > t.MaxDecoded {
			return nil, fmt.Errorf("%s v%d takes %d bytes decoded, all requests %d, want at most %d: %w", a.Name(), ctx.request.Version, decoded, all, t.MaxDecoded, ErrClose)
		}
	}
	reply, err := a.serve(ctx, ctx.request.Version, body, dst)
	if err == nil || errors.Is(err, ErrClose) {
		return reply, err
	}
	if t.Unexpected != nil && Unexpected(err) {
		t.Unexpected(ctx, &ctx.request, err)
	}
	return a.fail(ctx.request.Version, err, dst)
}

func (a *API) serves(version int16) bool { return version >= a.min && version <= a.max }

// isFlexible holds for versions newer than any that kmsg knows, too: a client
// of the future is flexible if the newest version is.
func (a *API) isFlexible(version int16) bool {
	return a.flexible[min(int(version), len(a.flexible)-1)]
}
