package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/oncelog/oncelog/replication/transport"
)

// A voter is one entry of controller.quorum.voters: a node and where the others
// reach it.
type voter struct {
	id      int32
	address string
}

// parseVoters reads entries of the form id@host:port.
func parseVoters(entries []string) ([]voter, error) {
	var all []voter
	for _, text := range entries {
		id, address, ok := strings.Cut(text, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		if _, _, notAddress := net.SplitHostPort(address); !ok || err != nil || n < 0 || notAddress != nil {
			return nil, fmt.Errorf("controller.quorum.voters: %q is not of the form id@host:port", text)
		}
		if slices.ContainsFunc(all, func(v voter) bool { return v.id == int32(n) }) {
			return nil, fmt.Errorf("controller.quorum.voters: node %d is named twice", n)
		}
		all = append(all, voter{int32(n), address})
	}
	return all, nil
}

// parseBootstrap reads controller.quorum.bootstrap.servers, without this node's
// own address: Kafka's first configuration names nothing else.
func (p listenerPlan) parseBootstrap(entries []string) ([]string, error) {
	var others []string
	for _, address := range entries {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("controller.quorum.bootstrap.servers: %q is not of the form host:port", address)
		}
		own := p.controller != nil && port == strconv.Itoa(p.controller.port) && (host == p.controller.host || loopback(host) && loopback(p.controller.host))
		if !own {
			others = append(others, address)
		}
	}
	return others, nil
}

// loopback says that a host is this machine, as far as its name tells; an empty
// one is every interface of it.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == localhost || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// joins says whether this node is one of several, or may become one.
func (p listenerPlan) joins() bool { return p.several }

// founds says whether this node is among those that the cluster begins with.
func (p listenerPlan) founds(self int32) bool {
	return len(p.voters) == 0 && len(p.bootstrap) == 0 || slices.ContainsFunc(p.voters, func(v voter) bool { return v.id == self })
}

// joinNodes finds out whether this node is one of several, and says what such a
// node needs: a listener that the others reach, and the cluster's id.
func (p *listenerPlan) joinNodes(s *settings) (err error) {
	if p.voters, err = parseVoters(s.voters); err != nil {
		return err
	}
	if p.bootstrap, err = p.parseBootstrap(s.bootstrapServers); err != nil {
		return err
	}
	named, others := "controller.quorum.voters names", len(p.voters) > 1 || !p.founds(s.nodeID)
	if len(p.voters) == 0 && others {
		named = "controller.quorum.bootstrap.servers names"
	}
	p.several = others || p.controller != nil && s.clusterID != ""
	switch {
	case !p.several:
		return nil
	case p.controller == nil:
		return fmt.Errorf("%s other nodes: listeners needs one that controller.listener.names names, such as CONTROLLER://host:port", named)
	case s.clusterID == "":
		return fmt.Errorf("%s other nodes: cluster.id must be set, to the same value on each", named)
	}
	return nil
}

// format is what this node's folder has to say.
func (p listenerPlan) format(s *settings) format {
	if !p.joins() {
		return format{NodeID: s.nodeID}
	}
	return format{NodeID: s.nodeID, ClusterID: s.clusterID, grown: len(p.voters) <= 1 && p.founds(s.nodeID)}
}

// voterIDs lists the nodes that the cluster begins with.
func (p listenerPlan) voterIDs() []int32 {
	var ids []int32
	for _, v := range p.voters {
		ids = append(ids, v.id)
	}
	return ids
}

func (p listenerPlan) voterAddresses() map[int32]string {
	addresses := map[int32]string{}
	for _, v := range p.voters {
		addresses[v.id] = v.address
	}
	return addresses
}

// openMesh opens the listener of the nodes and says how to reach the others.
// It returns nil when this node is alone for ever.
func (b *Broker) openMesh(s *settings) (*transport.Config, error) {
	if !b.plan.joins() {
		return nil, nil
	}
	listener, err := b.cfg.Listen("tcp", b.plan.controller.address())
	if err != nil {
		return nil, fmt.Errorf("listeners: %s: %w", b.plan.controller.name, err)
	}
	b.address = b.plan.nodeAddress(s.nodeID, listener.Addr())
	return &transport.Config{
		ClusterID: s.clusterID, Listener: listener, Address: b.address, Call: b.servePeer,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return b.cfg.Dial(ctx, "tcp", address) },
	}, nil
}

// nodeAddress is where the other nodes are told to reach this one.
func (p listenerPlan) nodeAddress(self int32, bound net.Addr) string {
	if at := slices.IndexFunc(p.voters, func(v voter) bool { return v.id == self }); at >= 0 {
		return p.voters[at].address
	}
	if l, ok := p.advertised[p.controller.name]; ok {
		return l.address()
	}
	host, port := splitAddress(bound)
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = localhost
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// How a start waits for the others.
const (
	ledPatience      = time.Second     // for a leader of the metadata, before this node makes itself known
	visitPatience    = time.Second     // for one node's answer to that
	majorityPatience = 5 * time.Second // before the start says that it waits
)

// awaitMajority waits until the metadata has a leader, which takes a majority of
// its voters and, of a node that is none of them, that the leader knows it.
//
// Errors: what the others have against this node; ctx's.
func (b *Broker) awaitMajority(ctx context.Context, s *settings) error {
	if !b.plan.joins() {
		return b.metadata.WaitLed(ctx)
	}
	said := time.Now()
	for knock := !b.plan.founds(s.nodeID); ; knock = true {
		if knock {
			if err := b.knock(ctx, s); errors.Is(err, transport.ErrRefused) {
				return err
			} else if err != nil {
				b.logger.Info("no node has made this one known yet", "error", err)
			}
		}
		wait, cancel := context.WithTimeout(ctx, ledPatience)
		err := b.metadata.WaitLed(wait)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		if time.Since(said) < majorityPatience {
			continue
		}
		said = time.Now()
		heard := slices.DeleteFunc(slices.Sorted(maps.Keys(b.known())), func(id int32) bool { return !b.node.Hears(id) })
		b.logger.Warn("the cluster has no controller that knows this node; the start waits until a majority of the voters is there",
			"voters", b.plan.voterAddresses(), "bootstrap_servers", b.plan.bootstrap, "heard", heard)
	}
}

// A joinRequest is what a node says of itself to be made known, and a joinAnswer
// whom it may talk to then.
type joinRequest struct {
	ID      int32  `json:"id"`
	Address string `json:"address"`
	Rack    string `json:"rack,omitempty"`
}

type joinAnswer struct {
	Error peerError        `json:"error"`
	Nodes map[int32]string `json:"nodes,omitempty"`
}

// knock asks one node after the other to make this one known, until one does. It
// changes nothing where this one is known already.
//
// Errors: transport.ErrRefused when nobody answers who does not refuse this node.
func (b *Broker) knock(ctx context.Context, s *settings) error {
	request, err := json.Marshal(joinRequest{s.nodeID, b.address, s.rack})
	if err != nil {
		return err
	}
	addresses := slices.Clone(b.plan.bootstrap)
	for id, address := range b.known() {
		if id != s.nodeID && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	slices.Sort(addresses)
	var refused, failed []error
	for _, address := range addresses {
		err := b.knockAt(ctx, address, request)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, transport.ErrRefused):
			refused = append(refused, err)
		default:
			failed = append(failed, err)
		}
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	return errors.Join(failed...)
}

func (b *Broker) knockAt(ctx context.Context, address string, request []byte) error {
	ctx, cancel := context.WithTimeout(ctx, visitPatience)
	defer cancel()
	body, err := b.node.Visit(ctx, address, append([]byte{peerJoin}, request...))
	if err != nil {
		return err
	}
	var answer joinAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("answer of %s: %w", address, err)
	}
	if err := answer.Error.err(-1); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	nodes := b.plan.voterAddresses()
	for id, address := range answer.Nodes {
		if _, configured := nodes[id]; !configured {
			nodes[id] = address
		}
	}
	b.meet(nodes)
	return nil
}

// welcome makes a node known that asks for it.
func (b *Broker) welcome(ctx context.Context, from int32, q joinRequest) joinAnswer {
	if q.ID != from || q.Address == "" {
		return joinAnswer{Error: peerErrorOf(fmt.Errorf("node %d asks to make node %d at %q known", from, q.ID, q.Address))}
	}
	if err := b.metadata.JoinBroker(ctx, q.ID, q.Address, q.Rack); err != nil {
		return joinAnswer{Error: peerErrorOf(err)}
	}
	return joinAnswer{Nodes: b.addressesIn(b.image())}
}

// addressesIn is where the nodes of an image are. What this node was configured
// with wins: the way to a node may be another one from here.
func (b *Broker) addressesIn(image *cluster.Image) map[int32]string {
	all := map[int32]string{}
	for _, node := range image.Nodes() {
		if node.Address != "" {
			all[node.ID] = node.Address
		}
	}
	for id, address := range b.plan.voterAddresses() {
		if !image.Left(id) {
			all[id] = address
		}
	}
	return all
}

// known is where the nodes are that this one talks to.
func (b *Broker) known() map[int32]string {
	b.meeting.Lock()
	defer b.meeting.Unlock()
	return b.met
}

// meet talks to these nodes from now on, and to no others, and has the folder
// remember them: a voter that comes back must find the others before anybody
// can tell it the metadata.
func (b *Broker) meet(nodes map[int32]string) {
	if !b.plan.joins() {
		return
	}
	b.meeting.Lock()
	defer b.meeting.Unlock()
	if maps.Equal(b.met, nodes) {
		return
	}
	b.node.SetPeers(nodes)
	b.met = nodes
	if err := rememberNodes(b.cfg.FS, b.dir, nodes); err != nil {
		b.logger.Warn("the folder does not remember the other nodes; after a restart this one may have to be told of them", "error", err)
	}
}

// meetBrokers follows the metadata in whom this node talks to.
func (b *Broker) meetBrokers(image *cluster.Image) {
	if !b.plan.joins() || image.ClusterID == "" {
		return
	}
	if self := b.nodeID(); image.Left(self) && !b.dismissed.Swap(true) {
		b.logger.Warn("this broker was taken off the cluster; end it, or start it again to have it join anew", "node.id", self)
	}
	// An image that is being replayed may lack brokers that this node talks to
	// already. One that left is heard until it has lost its vote: the others must
	// see that it is gone.
	nodes, voters := b.addressesIn(image), b.metadata.Group().Voters()
	for id, address := range b.known() {
		if _, ok := nodes[id]; !ok && (!image.Left(id) || slices.Contains(voters, id)) {
			nodes[id] = address
		}
	}
	b.meet(nodes)
}
