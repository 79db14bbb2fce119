// Package bench measures a Kafka-compatible broker from the outside, as its
// clients would: how much it takes and gives, how long that takes, and whether
// all of it was right. A run makes a topic, puts load on it, checks counts,
// order and contents of its own records, and removes the topic.
//
// It knows franz-go and nothing of this broker.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/conformance"
)

// Options say what to run, how to reach the cluster, and whom to tell.
type Options struct {
	Kind     Kind
	Settings Settings
	Brokers  []string // as given, for the report
	Client   string   // who measures, for the report
	Dial     func(context.Context, ...kgo.Opt) (*kgo.Client, error)
	Timeout  time.Duration // of what ends a run: asking for offsets, reading the rest, removing the topic
	Progress io.Writer     // gets a line a second; nil: nothing
}

// A run is one benchmark against one cluster.
//
// ctx ends when the load is to end; what comes after it, reading the rest,
// checking and removing the topic, is bound by Options.Timeout instead, so that
// an interrupted run still tells what it found and leaves nothing behind.
type run struct {
	Options
	s        Settings
	id       uint64
	form     *form
	meter    *meter
	admin    *kadm.Client
	own      bool            // the topic is the run's, and goes with it
	begin    map[int32]int64 // where the partitions ended before; none: 0
	stopping atomic.Bool
	report   Report
}

// Run measures. The error says that the run could not be made or was not
// finished; what was measured and whether it was right is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Settings.Check(o.Kind); err != nil {
		return Report{}, err
	}
	for _, addr := range o.Brokers {
		if err := local(ctx, addr, o.Settings.AllowRemote); err != nil {
			return Report{}, err
		}
	}
	client, err := o.Dial(ctx)
	if err != nil {
		return Report{}, err
	}
	defer client.Close()
	r := &run{Options: o, s: o.Settings, id: rand.Uint64(), meter: newMeter(), admin: kadm.NewClient(client)}
	if err := r.look(ctx); err != nil {
		return Report{}, err
	}
	defer context.AfterFunc(ctx, func() { r.stopping.Store(true) })()
	if err := r.makeTopic(ctx); err != nil {
		return Report{}, errors.Join(err, r.removeTopic(ctx))
	}
	r.form = newForm(r.id, r.s.Size)
	r.report.Check.Stored, r.report.Check.Read = -1, -1
	switch o.Kind {
	case Produce:
		err = r.produce(ctx)
	case Consume:
		err = r.consume(ctx)
	case EndToEnd:
		err = r.endToEnd(ctx)
	case Txn:
		err = r.transactions(ctx)
	default:
		err = fmt.Errorf("%w: no benchmark is named %q", ErrSettings, o.Kind)
	}
	err = errors.Join(err, r.removeTopic(ctx))
	r.finish(ctx, err)
	return r.report, err
}

// local refuses a broker that is not on this machine unless it was asked for.
func local(ctx context.Context, addr string, remote bool) error {
	if remote {
		return nil
	}
	err := conformance.Local(ctx, addr)
	if errors.Is(err, conformance.ErrRemote) {
		return fmt.Errorf("%w: a benchmark loads every broker; add --yes-this-cluster to run it there", err)
	}
	return err
}

// finish writes what is known into the report.
func (r *run) finish(ctx context.Context, err error) {
	r.meter.fill(&r.report)
	r.report.Settings = r.s
	r.report.Interrupted = ctx.Err() != nil
	c := &r.report.Check
	if err != nil {
		c.problemf("the run was not finished: %v", err)
	}
	if c.Problems == nil {
		c.Problems = []string{}
	}
	c.OK = len(c.Problems) == 0
}

// look asks the cluster who it is, and refuses it when it is not on this machine.
func (r *run) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	meta, err := r.admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("ask for the brokers: %w", err)
	}
	for _, b := range meta.Brokers {
		if err := local(ctx, fmt.Sprintf("%s:%d", b.Host, b.Port), r.s.AllowRemote); err != nil {
			return fmt.Errorf("advertised by the cluster: %w", err)
		}
	}
	versions, err := r.admin.ApiVersions(ctx)
	if err != nil {
		return fmt.Errorf("ask for API versions: %w", err)
	}
	speaks := map[string]bool{}
	versions.Each(func(v kadm.BrokerApiVersions) {
		if v.Err == nil {
			speaks[conformance.FirstRelease(v.Raw())] = true
		}
	})
	r.report = Report{
		Schema: Schema, Bench: r.Kind, Started: time.Now().UTC(), Client: r.Client + ", franz-go " + moduleVersion("github.com/twmb/franz-go"),
		Broker: Broker{
			Addresses: r.Brokers, ClusterID: meta.Cluster, Brokers: len(meta.Brokers),
			Speaks: strings.Join(slices.Sorted(maps.Keys(speaks)), ", "),
		},
	}
	return nil
}

// moduleVersion is the version of a module that this program was built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "of unknown version"
}

// after bounds what is done once the load is over, also when ctx has ended.
func (r *run) after(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), r.Timeout)
}

// makeTopic makes the run's own topic, or finds where the given one ends.
func (r *run) makeTopic(ctx context.Context) error {
	r.own = r.s.Topic == ""
	if r.own {
		r.s.Topic = fmt.Sprintf("oncelog-bench-%08x", uint32(r.id))
	}
	bounded, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	_, err := r.admin.CreateTopic(bounded, r.s.Partitions, r.s.Replicas, nil, r.s.Topic)
	if err == nil || r.own || !errors.Is(err, kerr.TopicAlreadyExists) {
		return wrap(err, "create topic "+r.s.Topic)
	}
	meta, err := r.admin.Metadata(bounded, r.s.Topic)
	if err == nil {
		err = meta.Topics[r.s.Topic].Err
	}
	if err != nil {
		return fmt.Errorf("ask for topic %s: %w", r.s.Topic, err)
	}
	r.s.Partitions = int32(len(meta.Topics[r.s.Topic].Partitions))
	r.begin, err = r.ends(bounded, false)
	return err
}

// wrap says what failed; nothing when nothing did.
func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// removeTopic removes the run's own topic, also after an interrupt.
func (r *run) removeTopic(ctx context.Context) error {
	if !r.own {
		return nil
	}
	ctx, cancel := r.after(ctx)
	defer cancel()
	answers, err := r.admin.DeleteTopics(ctx, r.s.Topic)
	if err == nil {
		err = answers[r.s.Topic].Err
	}
	if err != nil {
		return fmt.Errorf("topic %s could not be removed; remove it with oncelog topic delete %s: %w", r.s.Topic, r.s.Topic, err)
	}
	return nil
}

// ends asks where the partitions end: for readers of committed data, or by the
// high watermark.
func (r *run) ends(ctx context.Context, committed bool) (map[int32]int64, error) {
	list := r.admin.ListEndOffsets
	if committed {
		list = r.admin.ListCommittedOffsets
	}
	listed, err := list(ctx, r.s.Topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the ends of %s: %w", r.s.Topic, err)
	}
	ends := make(map[int32]int64, r.s.Partitions)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// endsToRead is where readers stop. A transaction's end is answered before its
// markers are written, so readers of committed data wait a while for those; a
// given topic may hold others' transactions, which stay open.
func (r *run) endsToRead(ctx context.Context, committed bool) (map[int32]int64, error) {
	enough := time.After(r.Timeout / 2)
	all, err := r.ends(ctx, false)
	for committed && err == nil {
		var ends map[int32]int64
		if ends, err = r.ends(ctx, true); err != nil || maps.Equal(ends, all) {
			return ends, err
		}
		select {
		case <-enough:
			return ends, nil
		case <-time.After(10 * time.Millisecond):
		}
		all, err = r.ends(ctx, false)
	}
	return all, err
}

// stored counts the records of the log since the run began, and waits a while for
// those that acks=0 or acks=1 let come later.
func (r *run) stored(ctx context.Context, want int64) (int64, error) {
	ctx, cancel := r.after(ctx)
	defer cancel()
	for {
		ends, err := r.ends(ctx, false)
		if err != nil {
			return 0, err
		}
		count := int64(0)
		for partition, end := range ends {
			count += end - r.begin[partition]
		}
		if count >= want {
			return count, nil
		}
		select {
		case <-ctx.Done():
			return count, nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// progress tells each second what the last one was like, until the returned
// function is called.
func (r *run) progress() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				fmt.Fprint(r.Progress, "\r\x1b[K")
				return
			case <-ticker.C:
			}
			if s, ok := r.meter.latest(); ok {
				fmt.Fprintf(r.Progress, "\r\x1b[K%ds  %d records/s  %s MB/s  p50 %s ms  p99 %s ms  errors %d",
					s.Second+1, s.Records, figure(float64(s.Bytes)/1e6), figure(s.P50), figure(s.P99), s.Errors)
			}
		}
	}()
	return func() { close(quit); <-done }
}
