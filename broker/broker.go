package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/broker/group"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/oncelog/oncelog/txn"
)

const (
	offsetsTopic = "__consumer_offsets"
	txnTopic     = "__transaction_state"

	// lockName keeps two processes off one folder.
	lockName = ".lock"
	// decompressBudget bounds what all requests together hold decompressed.
	decompressBudget = 256 << 20
	// decodeBudget bounds what all requests together hold decoded.
	decodeBudget = 256 << 20
)

// A Broker is one running Kafka broker.
//
// Requests run in the goroutines of their connections. topics.run follows the
// metadata. Everything below keeps goroutines of its own, which Close ends. The
// fields do not change after Open.
type Broker struct {
	cfg    Config
	logger *slog.Logger
	plan   listenerPlan
	lock   io.Closer

	node     *replication.Node
	metadata *cluster.Metadata
	caughtUp bool // the metadata was as new as the controller's at the start
	topics   *topics
	txns     *txn.Coordinator
	groups   *group.Coordinator

	table         *protocol.Table
	server        *server
	buffers       *bufferPool
	sessions      *sessionCache
	decompressing *record.Budget
	metrics       *metrics
	listening     []net.Addr
	dir           string
	address       string // where other nodes reach this one; empty when it is alone

	meeting   sync.Mutex // guards met, and what the folder remembers of it
	met       map[int32]string
	dismissed atomic.Bool // it was said that this broker was taken off the cluster

	markerSessions *txn.Sessions
	serving        chan struct{}      // closed when other nodes may ask
	following      atomic.Bool        // new topics are opened as the metadata brings them
	cancel         context.CancelFunc // of the background work
	tasks          sync.WaitGroup
	closed         chan struct{} // closed by the first Close
	once           sync.Once
}

// Open starts a broker and returns once it listens. The context bounds the
// start only.
//
// Errors: of the settings, all of them together; of the folder, when another
// process has it or a newer program wrote it; of the listeners.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	b := &Broker{cfg: cfg.withDefaults(), closed: make(chan struct{}), serving: make(chan struct{}), markerSessions: new(txn.Sessions), buffers: new(bufferPool), sessions: newSessionCache()}
	b.logger = b.cfg.Logger
	b.decompressing = record.NewBudget(decompressBudget)
	s, err := newSettings(b.cfg.Properties, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if b.plan, err = s.plan(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if unknown := unknownNames(b.cfg.Properties); len(unknown) > 0 {
		b.logger.Warn("settings without effect", "names", unknown)
	}
	b.metrics = newMetrics(b)
	b.topics = newTopics(b, s)
	if err := b.start(ctx, s); err != nil {
		return nil, errors.Join(err, b.Close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Listen == nil {
		c.Listen = net.Listen
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// start brings up the layers from the disk to the sockets. What it leaves when
// it fails, Close ends.
func (b *Broker) start(ctx context.Context, s *settings) error {
	if err := b.openStorage(ctx, s); err != nil {
		return err
	}
	b.txns = b.newTxns(s)
	groups, err := b.newGroups(s)
	if err != nil {
		return err
	}
	b.groups = groups
	if b.table, err = b.newTable(); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	if err := b.removeLeftovers(ctx, s.logDirs[0]); err != nil {
		return fmt.Errorf("log.dirs: %w", err)
	}
	close(b.serving)
	b.topics.reconcile(ctx, b.metadata.Image())
	b.following.Store(true)
	b.tasks.Go(func() { b.topics.run(background) })
	if b.plan.joins() {
		b.tasks.Go(func() { b.metadata.KeepMembers(background, b.node.Hears) })
	}
	b.tasks.Go(func() { (&controller{b: b}).run(background) })
	return b.listen(ctx, s)
}

// openStorage takes the folder, and opens the node and the metadata in it.
func (b *Broker) openStorage(ctx context.Context, s *settings) error {
	dir := s.logDirs[0]
	if err := b.cfg.FS.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("log.dirs: %w", err)
	}
	lock, err := b.cfg.FS.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("log.dirs: folder %s is in use by another process: %w", dir, err)
	}
	b.lock = lock
	b.dir = dir
	nodes, err := checkFormat(b.cfg.FS, dir, b.plan.format(s))
	if err != nil {
		return fmt.Errorf("log.dirs: %w", err)
	}
	mesh, err := b.openMesh(s)
	if err != nil {
		return err
	}
	fsync, interval := s.fsyncPolicy()
	b.node, err = replication.Open(replication.Config{
		NodeID: s.nodeID, Dir: dir, FS: b.cfg.FS, Logger: b.logger, Mesh: mesh, Fsync: fsync, FsyncInterval: interval,
		RetentionCheckInterval: s.logRetentionCheck, CleanerBackoff: s.cleanerRest(), ProducerExpiryInterval: s.producerIDChecks, ReplicaLagTimeMax: s.replicaLagMax,
	})
	if err != nil {
		if mesh != nil {
			err = errors.Join(err, mesh.Listener.Close())
		}
		return fmt.Errorf("log.dirs: %w", err)
	}
	maps.Copy(nodes, b.plan.voterAddresses())
	b.meet(nodes)
	return b.openMetadata(ctx, s)
}

// openMetadata opens the metadata and waits until it has a leader.
func (b *Broker) openMetadata(ctx context.Context, s *settings) (err error) {
	dir := s.logDirs[0]
	metadata := cluster.Config{
		NodeID: s.nodeID, Joins: !b.plan.founds(s.nodeID), ClusterID: s.clusterID, Dir: dir, Features: b.cfg.Features,
		NumPartitions: s.numPartitions, ReplicationFactor: s.replicationFactor, Rules: configRules{b}, Logger: b.logger,
	}
	if b.plan.joins() {
		metadata.Forward, metadata.Fenced = b.forwardChange, b.fenced
	}
	if b.metadata, err = cluster.Open(ctx, b.node, b.plan.voterIDs(), b.cfg.FS, metadata); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if err := b.awaitMajority(ctx, s); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if err := b.metadata.CatchUp(ctx); err == nil {
		b.caughtUp = true
	} else {
		b.logger.Warn("the controller does not say how far the metadata is; the start goes on with what this node knows", "error", err)
	}
	return nil
}

// cleanerRest is log.cleaner.backoff.ms, which may be 0: compaction never stands
// still, but lets others run.
func (s *settings) cleanerRest() time.Duration { return max(s.cleanerBackoff, time.Millisecond) }

// fsyncPolicy reads oncelog.fsync, which was checked.
func (s *settings) fsyncPolicy() (replication.Fsync, time.Duration) {
	before, after, _ := cutLast(s.fsync, "=")
	interval, err := time.ParseDuration(after)
	if err != nil {
		interval = 0
	}
	return replication.Fsync(before), interval
}

// listen opens the listeners, makes their addresses known and serves.
func (b *Broker) listen(ctx context.Context, s *settings) error {
	b.server = newServer(b.table, b.settings, b.logger, b.buffers)
	b.server.observe = b.metrics.request
	var opened []net.Listener
	closeAll := func() {
		for _, l := range opened {
			_ = l.Close() // nothing was accepted on it
		}
	}
	node := cluster.Broker{ID: s.nodeID, Rack: s.rack, Address: b.address}
	for _, l := range b.plan.listen {
		listener, err := b.cfg.Listen("tcp", l.address())
		if err != nil {
			closeAll()
			return fmt.Errorf("listeners: %s: %w", l.name, err)
		}
		opened = append(opened, listener)
		b.listening = append(b.listening, listener.Addr())
		host, port := b.registered(l.name, listener.Addr())
		node.Listeners = append(node.Listeners, cluster.Listener{Name: l.name, Protocol: "PLAINTEXT", Host: host, Port: port})
	}
	if err := b.register(ctx, node); err != nil {
		closeAll()
		return fmt.Errorf("register the broker: %w", err)
	}
	if err := b.awaitLeaders(ctx); err != nil {
		closeAll()
		return err
	}
	for i, l := range opened {
		b.server.serve(l, b.plan.listen[i].name)
		b.logger.Info("listening", "listener", b.plan.listen[i].name, "address", l.Addr().String())
		if ip := net.ParseIP(hostOf(l.Addr())); ip != nil && !ip.IsLoopback() {
			b.logger.Warn("the listener is open to the network without authentication; whoever reaches it may read, write and delete", "listener", b.plan.listen[i].name, "address", l.Addr())
		}
	}
	return nil
}

// register makes the broker and its features known to the cluster.
func (b *Broker) register(ctx context.Context, node cluster.Broker) error {
	if _, err := b.metadata.RegisterBroker(ctx, node); err != nil {
		return err
	}
	if want, is := b.settings().clusterID, b.ClusterID(); b.plan.joins() && is != want {
		return fmt.Errorf("the folder belongs to cluster.id %q, not %q: set that cluster.id, or name another folder: %w", is, want, ErrConfig)
	}
	for name, level := range b.cfg.Features {
		if err := b.metadata.SetFeature(ctx, name, level); err != nil {
			return err
		}
	}
	return b.topics.settle(ctx)
}

// Close stops the broker: it accepts no more, ends waiting requests and lets
// those in progress be answered, until ctx ends. It may be called again.
func (b *Broker) Close(ctx context.Context) error {
	var all []error
	b.once.Do(func() {
		close(b.closed)
		b.handOver(ctx)
		if b.server != nil {
			all = append(all, b.server.stop(ctx, b.endWork))
		}
		b.endWork()
		if b.metadata != nil {
			all = append(all, b.metadata.Close())
		}
		if b.node != nil {
			all = append(all, b.node.Close(ctx))
		}
		if b.lock != nil {
			all = append(all, b.lock.Close())
		}
	})
	return errors.Join(all...)
}

// endWork ends what the broker does by itself, and fails what waits for the
// coordinators' logs: without a majority that might take for ever. It may be
// called again.
func (b *Broker) endWork() {
	if b.cancel != nil {
		b.cancel()
		b.tasks.Wait()
	}
	if b.groups != nil {
		b.groups.Close()
	}
	if b.txns != nil {
		b.txns.Close()
	}
}

// Addr is the address of the first listener, with its real port.
func (b *Broker) Addr() net.Addr { return b.listening[0] }

// ClusterID is the id of the cluster.
func (b *Broker) ClusterID() string { return b.image().ClusterID }

// EnsureTopic creates a topic unless it exists, and waits as long as ctx lasts
// until its partitions have leaders. partitions 0 is num.partitions.
func (b *Broker) EnsureTopic(ctx context.Context, name string, partitions int32) error {
	if _, ok := b.image().Topic(name); ok {
		return nil
	}
	if partitions == 0 {
		partitions = -1
	}
	_, err := b.makeTopic(ctx, cluster.TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: -1})
	return existing(err)
}

// settings are those in force now.
func (b *Broker) settings() *settings { return b.topics.load().settings }

// image is the newest metadata.
func (b *Broker) image() *cluster.Image { return b.metadata.Image() }

func (b *Broker) nodeID() int32 { return b.settings().nodeID }

func nodeName(id int32) string { return strconv.Itoa(int(id)) }

// logUnexpected logs an error that the client is told nothing of.
func (b *Broker) logUnexpected(what string, err error, attributes ...any) {
	if protocol.Unexpected(err) {
		b.logger.Error(what, append(attributes, "error", err)...)
	}
}
