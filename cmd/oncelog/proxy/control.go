package proxy

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/oncelog/oncelog/broker/fault"
)

// A Control lets programs add rules, wait for their hits and watch what passes,
// over HTTP:
//
//	GET    /api/faults            the rules in force
//	POST   /api/faults            {"rule": "drop api=Produce"} puts one in force
//	DELETE /api/faults            takes all out of force
//	DELETE /api/faults/ID         takes one out of force
//	GET    /api/faults/ID/hits    its hits; ?wait=N&timeout=10s waits until there are N
//	GET    /api/hits              the hits of all rules
//	GET    /api/monitor           messages that match ?match=, one JSON object a line
//
// Without a token it listens on loopback only, and answers no page of a browser.
type Control struct {
	proxy    *Proxy
	token    string
	listener net.Listener
	server   *http.Server
	served   chan struct{}
	requests sync.WaitGroup
}

// Serve begins to listen.
func Serve(p *Proxy, address, token string) (*Control, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("control address %q, want host:port: %w", address, err)
	}
	if token == "" && !loopback(host) {
		return nil, fmt.Errorf("control address %q is not on loopback, where anybody could break things: want 127.0.0.1, or a token", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &Control{proxy: p, token: token, listener: l, served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/faults", c.list)
	mux.HandleFunc("POST /api/faults", c.add)
	mux.HandleFunc("DELETE /api/faults", c.clear)
	mux.HandleFunc("DELETE /api/faults/{id}", c.remove)
	mux.HandleFunc("GET /api/faults/{id}/hits", c.hits)
	mux.HandleFunc("GET /api/hits", c.hits)
	mux.HandleFunc("GET /api/monitor", c.monitor)
	c.server = &http.Server{Handler: c.guard(mux), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() {
		defer close(c.served)
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.logger.Error("control ends", "error", err)
		}
	}()
	return c, nil
}

// Address is where it listens.
func (c *Control) Address() string { return c.listener.Addr().String() }

// Close ends all requests and waits for them.
func (c *Control) Close() error {
	err := c.server.Close() // which ends their contexts
	<-c.served
	c.requests.Wait()
	return err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// guard asks for the token, or that it is a program of this machine: a page in a
// browser says its origin, and one that was led here by its name server says another host.
func (c *Control) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		defer c.requests.Done()
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		switch {
		case c.token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.token)) != 1:
			http.Error(w, "want the header Authorization: Bearer TOKEN with the token that the proxy was started with", http.StatusUnauthorized)
		case r.Header.Get("Origin") != "" || c.token == "" && !loopback(host):
			http.Error(w, "this is for programs, not for pages in a browser", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (c *Control) answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		c.proxy.logger.Info("a caller of control has gone", "error", err)
	}
}

// Rules is what GET /api/faults answers.
type Rules struct {
	Rules []fault.Standing `json:"rules"`
}

func (c *Control) list(w http.ResponseWriter, _ *http.Request) {
	c.answer(w, http.StatusOK, Rules{c.proxy.faults.List()})
}

// A NewRule is what POST /api/faults takes, and answers with the id.
type NewRule struct {
	ID   string `json:"id,omitempty"`
	Rule string `json:"rule"`
}

func (c *Control) add(w http.ResponseWriter, r *http.Request) {
	var one NewRule
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8*fault.MaxRule))
	d.DisallowUnknownFields()
	if err := d.Decode(&one); err != nil {
		http.Error(w, `want {"rule": "drop api=Produce"}: `+err.Error(), http.StatusBadRequest)
		return
	}
	rule, err := fault.Parse(one.Rule)
	if err == nil {
		err = Check(rule)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, err := c.proxy.faults.Add(rule)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	c.answer(w, http.StatusCreated, NewRule{id, rule.String()})
}

func (c *Control) clear(w http.ResponseWriter, r *http.Request) {
	c.proxy.faults.Clear()
	c.list(w, r)
}

func (c *Control) remove(w http.ResponseWriter, r *http.Request) {
	if err := c.proxy.faults.Remove(r.PathValue("id")); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	c.list(w, r)
}

// Hits is what GET /api/hits answers.
type Hits struct {
	Hits []fault.Hit `json:"hits"`
}

// maxWait bounds how long a caller may wait for hits.
const maxWait = 10 * time.Minute

func (c *Control) hits(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if wait := r.FormValue("wait"); wait != "" && id != "" {
		n, err := strconv.ParseInt(wait, 10, 64)
		timeout := 30 * time.Second
		if err == nil && r.FormValue("timeout") != "" {
			timeout, err = time.ParseDuration(r.FormValue("timeout"))
		}
		if err != nil || n < 1 || timeout <= 0 || timeout > maxWait {
			http.Error(w, fmt.Sprintf("want wait= from 1 on and timeout= up to %v", maxWait), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		switch err := c.proxy.faults.Wait(ctx, id, n); {
		case errors.Is(err, fault.ErrNoRule):
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusRequestTimeout)
			return
		}
	}
	hits := c.proxy.faults.Hits(id)
	if hits == nil {
		hits = []fault.Hit{}
	}
	c.answer(w, http.StatusOK, Hits{hits})
}

func (c *Control) monitor(w http.ResponseWriter, r *http.Request) {
	match, err := fault.ParseMatch(r.FormValue("match"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	watcher, err := c.proxy.Watch(match)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer c.proxy.Unwatch(watcher)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	err = out.Flush() // the caller knows that it watches
	for err == nil {
		var told Told
		if told, err = watcher.Next(r.Context()); err != nil {
			return // the caller has gone
		}
		told.Text = told.Line()
		if err = lines.Encode(told); err == nil {
			err = out.Flush()
		}
	}
	c.proxy.logger.Info("a monitor has gone", "error", err)
}
