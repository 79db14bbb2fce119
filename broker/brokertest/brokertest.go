// Package brokertest starts brokers in memory, for tests of programs that use
// Kafka: a whole broker on a network and a file system of its own, without
// ports or files.
//
// It works inside a testing/synctest bubble, where an hour passes in an
// instant: start the broker and the clients in the bubble. Tests may run in
// parallel; each broker is alone. When the test ends the broker is closed and
// no goroutine of it is left.
//
// In a bubble time stands still for ever if one goroutine waits for a mutex while
// its holder waits for a timer. Clients do that: franz-go asks for its producer id
// under a mutex, and rests there when it has to ask again. A test that breaks
// brokers before the client produces has the id asked for first, by
// kgo.Client.ProducerID.
package brokertest

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
)

// closeTime bounds how long a broker may take to close.
const closeTime = 10 * time.Second

// Options of a broker. The zero value is what most tests want.
type Options struct {
	// Properties are settings by Kafka's names. Unlike Kafka's, the defaults have
	// one partition for each internal topic and no delay before a group's first
	// generation.
	Properties map[string]string
	// Features are finalized levels, such as transaction.version.
	Features map[string]int16
	// FS and Network may be given to start a broker again where one was before,
	// or to put faults between. nil: new ones.
	FS      vfs.FS
	Network *memnet.Network
	// Host is the broker's machine in Network, which can be cut off. "": one that cannot.
	Host string
	// Logger is told of changes of state. nil: they are logged to the test when
	// it runs with -v.
	Logger *slog.Logger
}

// A Server is a running broker.
type Server struct {
	*broker.Broker
	FS      vfs.FS
	Network *memnet.Network
	options Options
}

// properties are the defaults of tests.
var properties = map[string]string{
	"listeners":                            "PLAINTEXT://127.0.0.1:9092",
	"log.dirs":                             "data",
	"offsets.topic.num.partitions":         "1",
	"transaction.state.log.num.partitions": "1",
	"group.initial.rebalance.delay.ms":     "0",
}

// Start starts a broker and closes it when the test ends. A broker that does
// not start fails the test.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	if options.Logger == nil && testing.Verbose() {
		options.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Open starts a broker outside of a test. The caller stops it.
func Open(ctx context.Context, options Options) (*Server, error) {
	s := &Server{FS: options.FS, Network: options.Network, options: options}
	if s.FS == nil {
		s.FS = vfs.NewMem()
	}
	if s.Network == nil {
		s.Network = memnet.New()
	}
	all := maps.Clone(properties)
	maps.Copy(all, options.Properties)
	host := s.Network.Host(options.Host)
	b, err := broker.Open(ctx, broker.Config{
		Properties: all, Features: options.Features, FS: s.FS, Listen: host.Listen, Dial: host.Dial, Logger: options.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.Broker = b
	return s, nil
}

// Address is where clients dial: the bootstrap server.
func (s *Server) Address() string { return s.Addr().String() }

// Dial connects a client, such as franz-go's by kgo.Dialer(s.Dial).
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.Network.Dial(ctx, network, address)
}

// Stop closes the broker before the test ends, such as to start it again over
// the same FS. It may be called again.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return s.Close(ctx)
}
