package proxy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/broker/fault"
)

// network is what memnet has.
type network interface {
	Listen(network, address string) (net.Listener, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// onlyProxy refuses to dial a broker: its address must not reach a client.
func (s *stand) onlyProxy(ctx context.Context, network, address string) (net.Conn, error) {
	if !strings.HasPrefix(address, "127.0.0.1:1909") {
		return nil, fmt.Errorf("a client dials %s, want the proxy only", address)
	}
	return s.broker.Dial(ctx, network, address)
}

func matching(t *testing.T, line string) fault.Match {
	t.Helper()
	m, err := fault.ParseMatch(line)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
