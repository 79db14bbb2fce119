package protocol

import (
	"context"
	"net"
	"sync/atomic"
)

// A Conn is what the broker knows about one client connection. The exported
// fields are set before the first request and not changed afterwards.
type Conn struct {
	ID            int64
	Local, Remote net.Addr
	Listener      string // the listener's name, as in advertised.listeners

	principal atomic.Pointer[string]
	software  atomic.Pointer[Software]
	client    atomic.Pointer[string] // the last client id
}

// Software is what a client says about itself in ApiVersions v3 (KIP-511).
type Software struct{ Name, Version string }

// Principal is who the peer is, "" for not authenticated yet. Kafka's form is
// "User:name".
func (c *Conn) Principal() string {
	if p := c.principal.Load(); p != nil {
		return *p
	}
	return ""
}

// SetPrincipal is called once authentication is over.
func (c *Conn) SetPrincipal(principal string) { c.principal.Store(&principal) }

// Software is empty until the client has told it.
func (c *Conn) Software() Software {
	if s := c.software.Load(); s != nil {
		return *s
	}
	return Software{}
}

// SetSoftware notes what ApiVersions told.
func (c *Conn) SetSoftware(s Software) { c.software.Store(&s) }

// clientID is a client id as a string: one connection sends the same with every
// request, and it is made only once.
func (c *Conn) clientID(name []byte) *string {
	if c == nil {
		id := string(name)
		return &id
	}
	if last := c.client.Load(); last != nil && *last == string(name) {
		return last
	}
	id := string(name)
	c.client.Store(&id)
	return &id
}

// A Request is the header of the request that is being served. It must not be
// changed.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      *string // nil when the client sent null
	Conn          *Conn   // nil when Serve's context has none
}

// ClientName is the client id, "" for null.
func (r *Request) ClientName() string {
	if r.ClientID == nil {
		return ""
	}
	return *r.ClientID
}

type connKey struct{}

// WithConn binds a connection to the context of all its requests.
func WithConn(ctx context.Context, c *Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

type requestKey struct{}

// requestContext carries one Request with a single allocation. It is never used
// for another: a deadline below it may come while the request ends, and then asks
// it for its parent.
type requestContext struct {
	context.Context
	request Request
}

// Value finds the Request, and the Conn without a walk up the contexts.
func (c *requestContext) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return &c.request
	case connKey:
		return c.request.Conn
	}
	return c.Context.Value(key)
}

// RequestFrom is the request whose handler was called with ctx. Outside of a
// handler it is an empty Request, never nil.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{Conn: connFrom(ctx)}
}

// WithRequest is for tests that call a handler without Serve.
func WithRequest(ctx context.Context, r Request) context.Context {
	if r.Conn == nil {
		r.Conn = connFrom(ctx)
	}
	return &requestContext{Context: ctx, request: r}
}

func connFrom(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}
