package broker

import (
	"context"
	"net"
	"strconv"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// localhost is what a client on this machine is told when the broker listens
// on every interface.
const localhost = "localhost"

// addressFor is the address of a node as the client of this request should
// dial it: what advertised.listeners says of the listener it came by, else the
// address that it dialled itself.
func (b *Broker) addressFor(ctx context.Context, node *cluster.Broker) (host string, port int32) {
	return b.addressOn(protocol.RequestFrom(ctx).Conn, node)
}

// addressOn is addressFor the client of a connection; nil: nobody's.
func (b *Broker) addressOn(conn *protocol.Conn, node *cluster.Broker) (host string, port int32) {
	if conn != nil && node.ID == b.nodeID() {
		return b.ownAddress(conn)
	}
	for i, l := range node.Listeners {
		if i == 0 || conn != nil && l.Name == conn.Listener {
			host, port = l.Host, l.Port
		}
	}
	return host, port
}

// ownAddress is the address of this broker for one of its connections.
func (b *Broker) ownAddress(conn *protocol.Conn) (host string, port int32) {
	if l, ok := b.plan.advertised[conn.Listener]; ok {
		return l.host, int32(l.port)
	}
	host, port = splitAddress(conn.Local)
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && b.everywhere(conn.Listener) {
		host = localhost
	}
	return b.override(host, port)
}

// override applies Config.AdvertisedHost and AdvertisedPort.
func (b *Broker) override(host string, port int32) (string, int32) {
	if b.cfg.AdvertisedHost != "" {
		host = b.cfg.AdvertisedHost
	}
	if b.cfg.AdvertisedPort != 0 {
		port = b.cfg.AdvertisedPort
	}
	return host, port
}

// everywhere says that a listener is on every interface, of both families.
func (b *Broker) everywhere(name string) bool {
	for _, l := range b.plan.listen {
		if l.name == name {
			return l.host == "" || l.host == "::"
		}
	}
	return false
}

// registered is the address that other nodes and their clients are told.
func (b *Broker) registered(name string, bound net.Addr) (host string, port int32) {
	if l, ok := b.plan.advertised[name]; ok {
		return l.host, int32(l.port)
	}
	host, port = splitAddress(bound)
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = localhost
	}
	return b.override(host, port)
}

func splitAddress(a net.Addr) (host string, port int32) { return splitHostPort(a.String()) }

// splitHostPort takes what is not of that form for a host.
func splitHostPort(address string) (host string, port int32) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int32(n)
}
