// Package cluster is the metadata of the cluster: brokers, topics and their
// partitions, configurations, features and blocks of producer ids.
//
// The metadata is a partition of its own, __cluster_metadata-0, whose records are
// commands. A change is decided by a pure function on the newest image, appended,
// and in force once it is committed and applied. Every node follows the log and
// publishes what it has applied as an immutable Image; readers take no lock. A
// state file keeps the image between starts.
//
// The package knows neither the wire nor raft. Who leads a partition is not in
// here: that is what the partition's own replica says (hard-40).
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
)

const (
	// stateName is the state file's name in Config.Dir.
	stateName = "metadata.db"
	// saveInterval is the least time between two writes of the state file while
	// commands are applied; Close writes what is left.
	saveInterval = time.Second
	// followRest bounds how often a node takes up what the others decided.
	followRest = 5 * time.Millisecond
)

// Config of the metadata. Zero values are defaults.
type Config struct {
	NodeID int32
	// Joins says that the cluster is there already; see JoinBroker.
	Joins bool
	// ClusterID of the cluster if this node founds it. "": a random one.
	ClusterID string
	// Dir holds the state file, on the operating system's own file system.
	// "": no state file, every start replays the whole log.
	Dir string
	// Features are finalized when this node founds the cluster, over the default:
	// the newest of each.
	Features map[string]int16
	// NumPartitions of a topic that says nothing (num.partitions). 0: 1.
	NumPartitions int32
	// ReplicationFactor of a topic that says nothing (default.replication.factor). 0: 1.
	ReplicationFactor int16
	// Rules judge configurations. nil: anything goes.
	Rules ConfigRules
	// Forward asks another node's Metadata.Serve. nil: this node is the only one.
	Forward func(ctx context.Context, node int32, request []byte) ([]byte, error)
	// Leader is the node that leads the metadata, -1 while none is known. nil: this one.
	Leader func() int32
	// WaitLed waits until it has one. It is needed beside Forward.
	WaitLed func(ctx context.Context) error
	// Fenced says of a broker that it is silent. nil: none is.
	Fenced func(node int32) bool
	Logger *slog.Logger // nil: discard
}

// Metadata is this node's part in the metadata group.
//
// The shard owns all state; image is what it last published. The state file is
// used under the shard's turn, and by Close when the shard is closed.
type Metadata struct {
	cfg     Config
	logger  *slog.Logger
	shard   *shard.Shard[*view]
	group   *replication.Partition // nil: the shard stands on something else
	view    *view
	state   *stateFile // nil: none
	saved   time.Time  // when the state file was last written
	image   atomic.Pointer[Image]
	changed atomic.Pointer[chan struct{}]
}

// OpenOn opens the metadata over the partition __cluster_metadata-0. It returns
// at once with the image of the state file; the log follows.
func OpenOn(ctx context.Context, p shard.Partition, cfg Config) (*Metadata, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := &Metadata{cfg: cfg, logger: cfg.Logger}
	first := newImage()
	if cfg.Dir != "" {
		var err error
		if first, err = m.restore(p.EndOffset()); err != nil {
			return nil, err
		}
	}
	m.publish(first)
	m.view = &view{image: first, shared: true, dirty: map[part]struct{}{}}
	life := context.WithoutCancel(ctx) // ctx bounds the start; Close ends what runs
	m.shard = shard.Open(life, p, func(int32) *view { return m.view }, shard.Options[*view]{
		Follow: true, Persist: m.applied, Park: 5 * time.Second, Rest: followRest, Logger: cfg.Logger,
	})
	return m, nil
}

// check fills in defaults.
func (c *Config) check() error {
	if c.NumPartitions == 0 {
		c.NumPartitions = 1
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = 1
	}
	if c.Rules == nil {
		c.Rules = anything{}
	}
	if c.Leader == nil {
		c.Leader = func() int32 { return c.NodeID }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for name, level := range c.Features {
		if err := checkFeature(name, level); err != nil {
			return err
		}
	}
	return nil
}

// restore reads the state file. A file that is ahead of the log, which a power
// cut can leave, tells of commands that are lost: it is thrown away.
func (m *Metadata) restore(logEnd int64) (*Image, error) {
	state, img, why, err := openState(filepath.Join(m.cfg.Dir, stateName))
	if err != nil {
		return nil, fmt.Errorf("metadata state: %w", err)
	}
	m.state = state
	if img.Offset > logEnd {
		why = fmt.Errorf("applied offset %d is beyond the log end %d: %w", img.Offset, logEnd, errTornState)
		img = newImage()
		if err := state.reset(); err != nil {
			return nil, fmt.Errorf("metadata state: %w", err)
		}
	}
	if why != nil {
		m.logger.Warn("metadata state file was thrown away and is built again from the log", "err", why)
	}
	return img, nil
}

// applied publishes what the shard has applied and, now and then, writes the
// state file. A file that cannot be written is only older than it could be.
func (m *Metadata) applied(v *view, _ int64) error {
	v.shared = true
	m.publish(v.image)
	if m.state == nil || time.Since(m.saved) < saveInterval {
		return nil
	}
	m.saved = time.Now()
	if err := m.save(); err != nil {
		m.logger.Warn("metadata state file could not be written; the next start replays more of the log", "err", err)
	}
	return nil
}

// save writes what changed; it stays dirty if that fails.
func (m *Metadata) save() error {
	err := m.state.save(m.view.image, m.view.dirty)
	if err == nil {
		clear(m.view.dirty)
	}
	return err
}

func (m *Metadata) publish(img *Image) {
	next := make(chan struct{})
	m.image.Store(img)
	if old := m.changed.Swap(&next); old != nil {
		close(*old)
	}
}

// Close stops following the log.
func (m *Metadata) Close() error {
	m.shard.Close()
	if m.state == nil || m.state.db == nil {
		return nil
	}
	err := m.save()
	if errors.Is(err, errTornState) { // the file is a cache: the next start makes it anew
		m.logger.Warn("metadata state file is damaged and was thrown away; the next start replays the log", "err", err)
		err = m.state.reset()
	}
	return errors.Join(err, m.state.close())
}

// Image is the newest metadata applied on this node.
func (m *Metadata) Image() *Image { return m.image.Load() }

// Changed is closed at the next new Image. Take it, look, then wait for it.
func (m *Metadata) Changed() <-chan struct{} { return *m.changed.Load() }

// WaitReady waits until changes can be decided on this node.
func (m *Metadata) WaitReady(ctx context.Context) error { return m.shard.WaitReady(ctx) }

// WaitLed waits until changes can be decided, on this node or on another.
func (m *Metadata) WaitLed(ctx context.Context) error {
	if m.cfg.Forward == nil {
		return m.WaitReady(ctx)
	}
	return m.cfg.WaitLed(ctx)
}

// CatchUp waits until this node has applied all that was decided before the call.
// A leader that cannot be reached is asked again for as long as ctx lasts.
//
// Errors: those of the context.
func (m *Metadata) CatchUp(ctx context.Context) error {
	_, err := m.insist(ctx, change{})
	return err
}

// Leader is the node that leads the metadata, -1 while none is known.
func (m *Metadata) Leader() int32 { return m.cfg.Leader() }

// CreateTopic creates a topic and returns it, or what it would be.
//
// Errors: those of decideTopic, NOT_CONTROLLER.
func (m *Metadata) CreateTopic(ctx context.Context, spec TopicSpec) (Topic, error) {
	if len(spec.Assignments) == 0 {
		if spec.Partitions == -1 {
			spec.Partitions = m.cfg.NumPartitions
		}
		if spec.ReplicationFactor == -1 {
			spec.ReplicationFactor = m.cfg.ReplicationFactor
		}
	}
	out, err := m.change(ctx, change{CreateTopic: &spec})
	if out.Topic == nil {
		return Topic{}, err
	}
	return *out.Topic, err
}

// DeleteTopic deletes a topic for good.
//
// Errors: those of decideDelete, NOT_CONTROLLER.
func (m *Metadata) DeleteTopic(ctx context.Context, id UUID) error {
	_, err := m.change(ctx, change{DeleteTopic: &id})
	return err
}

// AddPartitions makes a topic have count partitions, the new ones placed as
// assignments say or, without any, by the leader.
//
// Errors: those of decideGrow, NOT_CONTROLLER.
func (m *Metadata) AddPartitions(ctx context.Context, id UUID, count int32, assignments [][]int32, validateOnly bool) error {
	_, err := m.change(ctx, change{AddPartitions: &growth{id, count, assignments, validateOnly}})
	return err
}

// AlterConfigs applies operations to the dynamic configurations of a resource
// (IncrementalAlterConfigs).
//
// Errors: those of decideConfigs, NOT_CONTROLLER.
func (m *Metadata) AlterConfigs(ctx context.Context, r Resource, ops []ConfigOp, validateOnly bool) error {
	_, err := m.change(ctx, change{AlterConfigs: &alteration{Resource: r, Ops: ops, ValidateOnly: validateOnly}})
	return err
}

// ReplaceConfigs gives a resource these dynamic configurations and no others
// (AlterConfigs).
//
// Errors: as AlterConfigs.
func (m *Metadata) ReplaceConfigs(ctx context.Context, r Resource, values map[string]string, validateOnly bool) error {
	_, err := m.change(ctx, change{AlterConfigs: &alteration{Resource: r, Replace: values, Replaces: true, ValidateOnly: validateOnly}})
	return err
}

// SetFeature finalizes a level of a feature; level 0 takes it off.
//
// Errors: INVALID_UPDATE_VERSION, NOT_CONTROLLER.
func (m *Metadata) SetFeature(ctx context.Context, name string, level int16) error {
	_, err := m.change(ctx, change{SetFeature: &setFeature{name, level}})
	return err
}

// update decides on the newest image and returns when the commands are applied
// on this node. decide is pure and runs under the view lock.
func (m *Metadata) update(ctx context.Context, decide func(*Image) ([]command, error)) error {
	founding := m.founding()
	now := time.Now().UnixMilli()
	_, err := m.shard.Update(ctx, "", func(v *view, _ int32) (shard.Write, error) {
		commands, err := decide(v.image)
		if err != nil || len(commands) == 0 {
			return shard.Write{}, err
		}
		if v.image.ClusterID == "" {
			commands = append([]command{founding}, commands...)
		}
		var w shard.Write
		for _, c := range commands {
			w.Records = append(w.Records, record.Record{Timestamp: now, Value: c.encode()})
		}
		return w, nil
	})
	return controllerError(err)
}

// founding is the first command of a new cluster.
func (m *Metadata) founding() command {
	features := defaultFeatures()
	maps.Copy(features, m.cfg.Features)
	return command{Found: &found{ClusterID: cmp.Or(m.cfg.ClusterID, NewUUID().String()), Features: features}}
}

// controllerError says NOT_CONTROLLER where a coordinator would say that it is
// none, or is still loading: clients of the metadata know that word.
func controllerError(err error) error {
	for _, code := range []error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable} {
		if errors.Is(err, code) {
			return fmt.Errorf("metadata: %v: %w", err, kerr.NotController)
		}
	}
	return err
}
