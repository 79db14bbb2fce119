package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// servePatience is how long a restart waits for the broker to serve, which it
// does only where a majority of the brokers is there.
const servePatience = 20 * time.Second

// A clusterAct is one thing that is done to a cluster of processes.
type clusterAct struct {
	Do     string        `json:"do"`
	Node   int32         `json:"node,omitempty"`
	Other  int32         `json:"other,omitempty"` // the far end of a link
	OneWay bool          `json:"one_way,omitempty"`
	Delay  time.Duration `json:"delay,omitempty"`
}

// perform does it.
func (c *children) perform(ctx context.Context, act clusterAct) error {
	switch act.Do {
	case "kill":
		return c.Kill(act.Node)
	case "pause":
		return c.Pause(act.Node)
	case "resume":
		return c.Resume(act.Node)
	case "restart":
		return c.restart(ctx, act.Node)
	case "isolate":
		return c.isolate(act.Node)
	case "cut":
		return c.link(act, func(from, to int32) error { return c.Cut(from, to) })
	case "slow":
		return c.link(act, func(from, to int32) error { return c.Slow(from, to, act.Delay) })
	case "heal":
		return c.Heal()
	}
	return fmt.Errorf("%q is nothing that can be done to a cluster", act.Do)
}

// restart ends a broker that runs, and starts it.
func (c *children) restart(ctx context.Context, node int32) error {
	one, err := c.find(node)
	if err != nil {
		return err
	}
	if _, pid := one.state(); pid != 0 {
		if err := c.Terminate(node); err != nil {
			return err
		}
	}
	if err := c.Start(node); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, servePatience)
	defer cancel()
	return c.AwaitServing(ctx, node)
}

// isolate parts a broker from all others; clients reach it.
func (c *children) isolate(node int32) error {
	if _, err := c.find(node); err != nil {
		return err
	}
	var errs []error
	for _, other := range c.Nodes() {
		if other != node {
			errs = append(errs, c.Cut(node, other), c.Cut(other, node))
		}
	}
	return errors.Join(errs...)
}

// link does something to the bytes between two brokers, both ways or one.
func (c *children) link(act clusterAct, do func(from, to int32) error) error {
	err := do(act.Node, act.Other)
	if !act.OneWay {
		err = errors.Join(err, do(act.Other, act.Node))
	}
	return err
}

// A control serves acts on loopback to whoever can read the token in cluster.json.
type control struct {
	record clusterRecord
	server *http.Server
	done   chan struct{}
	acting sync.WaitGroup
}

// newControl serves, and writes cluster.json whenever something changes.
func newControl(c *children, clusterID, dir string) (*control, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for oncelog cluster: %w", err)
	}
	s := &control{done: make(chan struct{}), record: clusterRecord{path: filepath.Join(dir, clusterFile), children: c, file: clusterFileOf{
		ClusterID: clusterID, Bootstrap: strings.Join(c.Bootstrap(), ","), PID: os.Getpid(), Control: "http://" + listener.Addr().String(), Token: rand.Text(),
	}}}
	c.changed = func() {
		if err := s.record.write(); err != nil {
			c.say(err)
		}
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.say(fmt.Errorf("listen for oncelog cluster: %w", err))
		}
	}()
	return s, s.record.write()
}

// close ends the server and waits for what it is doing.
func (s *control) close() error {
	err := s.server.Close() // which ends the contexts of requests
	<-s.done
	s.acting.Wait()
	return err
}

// maxAct bounds what a caller may send.
const maxAct = 64 << 10

func (s *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.record.file.Token)) != 1 {
		http.Error(w, "the token of "+clusterFile+" is wanted", http.StatusUnauthorized)
		return
	}
	s.acting.Add(1)
	defer s.acting.Done()
	if r.Method == http.MethodPost {
		var act clusterAct
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAct)).Decode(&act); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := s.record.children.perform(r.Context(), act)
		if err := errors.Join(err, s.record.write()); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
	}
	c := s.record.children
	if err := json.NewEncoder(w).Encode(clusterNow{c.status(), c.mesh.Ways()}); err != nil {
		c.say(err) // the caller has gone
	}
}

// A clusterNow is what runs, and which links are cut or slow.
type clusterNow struct {
	Nodes []childStatus `json:"nodes"`
	Links []string      `json:"links"`
}

// call asks the process that started a cluster to do something; without
// act.Do it only tells how things are.
func (f clusterFileOf) call(ctx context.Context, act clusterAct) (now clusterNow, err error) {
	method, body := http.MethodGet, []byte(nil)
	if act.Do != "" {
		if body, err = json.Marshal(act); err != nil {
			return now, err
		}
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, f.Control, bytes.NewReader(body))
	if err != nil {
		return now, err
	}
	request.Header.Set("Authorization", "Bearer "+f.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return now, failed(exitUnreachable, "the cluster's own process %d does not answer: %w", f.PID, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return now, err
	}
	if response.StatusCode != http.StatusOK {
		return now, errors.New(strings.TrimSpace(string(answer)))
	}
	return now, json.Unmarshal(answer, &now)
}
