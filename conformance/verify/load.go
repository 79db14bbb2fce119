package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitionsOfTopic = 3

// Options of a load.
type Options struct {
	Brokers            []string      // where clients begin
	TransactionTimeout time.Duration // of the transactional producers
	Seed               uint64        // of what clients do; when is up to the machine
	Settle             time.Duration // 0: 1 s; how long after its timeout a transaction that was left may still be seen
	Name               string        // begins the name of every topic, group and transactional id; "": verify

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
	Pace int                                                                  // 0: 1; how many times longer clients pause between what they do
	Mishaps
	Transactors int                       // transactional producers beyond the least
	Workloads   []string                  // nil: append, etl, idem and churn, without those that poll in transactions or come and go
	Shrinking   bool                      // topics too of which brokers drop records
	Only        func(process string) bool // nil: all of a load's processes; at least one of each kind makes it whole
}

// names are the topics and groups of a load.
type names struct {
	base         string
	plain        string // topic of the idempotent producers
	transactions string // topic of the transactional producers
	derived      string // topic made from transactions by the group pipe
	bank         string // topic of the transfers
	topics       []string
	pipe         string // group
	readers      string // group that reads plain and commits by itself
	offsets      string // group without members; transactors commit offsets of plain for it
}

func namesOf(name string) names {
	n := names{
		base:  name,
		plain: name + "-plain", transactions: name + "-transactions", derived: name + "-derived", bank: name + "-bank",
		pipe: name + "-etl", readers: name + "-readers", offsets: name + "-offsets",
	}
	n.topics = []string{n.plain, n.transactions, n.derived}
	return n
}

// A Load is a set of clients at work: idempotent producers, transactional ones
// of both protocols (KIP-98, KIP-890), a pipeline that consumes, transforms and
// produces in transactions, a group that commits by itself, readers of each
// isolation level that follow the log, and a watcher of what a broker answers
// about the log's ends, the groups' offsets and producer ids.
//
// Its clients go on through whatever happens to the brokers. They write what
// they do and are told into a Recorder.
type Load struct {
	options  Options
	recorder *Recorder
	names    names

	writers, pipes, followers crew
	copies                    sync.WaitGroup // requests that arrive a second time
	calm                      atomic.Bool    // no mishap happens any more
}

// A crew is a set of goroutines that end together.
type crew struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

// run starts one of the crew.
func (c *crew) run(ctx context.Context, work func(context.Context) error) {
	c.group.Go(func() {
		if err := work(ctx); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs = append(c.errs, err)
		}
	})
}

// stop ends the crew and waits for it. Its errors are mistakes of the load,
// such as a client that could not be made; what a broker refuses is in the
// history.
func (c *crew) stop() error {
	c.cancel()
	c.group.Wait()
	return errors.Join(c.errs...)
}

// Start makes the topics and starts the clients.
func Start(ctx context.Context, r *Recorder, o Options) (*Load, error) {
	o.Name, o.Settle, o.Pace = cmp.Or(o.Name, "verify"), cmp.Or(o.Settle, time.Second), max(o.Pace, 1)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	l := &Load{options: o, recorder: r, names: namesOf(o.Name)}
	if l.does(Bank) {
		l.names.topics = append(l.names.topics, l.names.bank)
	}
	if err := l.createTopics(ctx, nil, l.names.topics...); err != nil {
		return nil, err
	}
	if l.does(ETL) {
		r.Add(Event{Kind: Pipeline, Group: l.names.pipe, Topic: l.names.transactions, To: l.names.derived})
	}
	start := func(c *crew) context.Context {
		inner, cancel := context.WithCancel(ctx)
		c.cancel = cancel
		return inner
	}
	followers, pipes, writers := start(&l.followers), start(&l.pipes), start(&l.writers)
	l.followers.run(followers, l.watch)
	l.followers.run(followers, func(ctx context.Context) error { return l.follow(ctx, "reader-committed", kgo.ReadCommitted()) })
	l.followers.run(followers, func(ctx context.Context) error { return l.follow(ctx, "reader-all", kgo.ReadUncommitted()) })
	under := map[*crew]context.Context{&l.pipes: pipes, &l.writers: writers}
	for _, p := range l.processes() {
		if l.runs(p) {
			p.crew.run(under[p.crew], func(ctx context.Context) error { return p.work(ctx, p.name) })
		}
	}
	if o.Shrinking {
		if err := l.startShrinking(ctx, writers); err != nil {
			return nil, errors.Join(err, l.writers.stop(), l.pipes.stop(), l.followers.stop())
		}
	}
	return l, nil
}

func (l *Load) createTopics(ctx context.Context, configs map[string]*string, topics ...string) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(ctx, partitionsOfTopic, -1, configs, topics...)
	if err != nil {
		return fmt.Errorf("create the topics of the load: %w", err)
	}
	for _, t := range created.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

// dialPatience is how long a client goes on dialling a broker that is away.
const dialPatience = 3 * time.Second

// clientOf makes the client of a life, which is closed when it ends.
func (l *Load) clientOf(one *life, options ...kgo.Opt) (*kgo.Client, error) {
	client, err := l.client(append(one.options(l.dialAgain), options...)...)
	if err == nil {
		one.adopt(client)
	}
	return client, err
}

// options tie a client to its life.
func (one *life) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	return []kgo.Opt{kgo.WithContext(one.body), kgo.Dialer(one.dial(dial))}
}

// client makes a client that outlives the restart of a broker and comes back
// quickly: it tries again every 20 ms, and as often as it takes.
func (l *Load) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(l.patient(), options...)...)
}

func (l *Load) patient() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(l.options.Brokers...),
		kgo.RetryBackoffFn(func(int) time.Duration { return l.pause(20 * time.Millisecond) }),
		kgo.RequestRetries(1000), kgo.RetryTimeout(10 * time.Second), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.StopProducerOnDataLossDetected(),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.Dialer(l.dialAgain),
	}
}

// dialAgain dials until a broker that restarts is back. franz-go would fail the
// request otherwise, and a request whose answer was lost is to be sent again:
// that is where duplicates come from.
func (l *Load) dialAgain(ctx context.Context, network, address string) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	l.paced(ctx, 10*time.Millisecond, func() bool {
		conn, err = l.options.Dial(ctx, network, address)
		return err != nil
	})
	return conn, err
}

// random is a source of its own for each process, so that one seed lets each
// of them choose the same things.
func (l *Load) random(process string) *rand.Rand {
	var id uint64
	for _, b := range []byte(process) {
		id = id*31 + uint64(b)
	}
	return rand.New(rand.NewPCG(l.options.Seed, id))
}

// sessions runs sessions one after the other, each with a name and a life of its
// own, and none quicker than a broker that is away can be asked again.
func (l *Load) sessions(ctx context.Context, process string, session func(name string, one *life) error) (err error) {
	n := 0
	l.paced(ctx, 20*time.Millisecond, func() bool {
		name := fmt.Sprintf("%s/%d", process, n)
		one := l.born(ctx, process, name)
		err = session(name, one)
		if !one.kept {
			one.end()
		}
		n++
		return err == nil && ctx.Err() == nil
	})
	return err
}

// granted records the identity of a new session.
func (l *Load) granted(ctx context.Context, client *kgo.Client, session string) error {
	_, err := l.grantedEpoch(ctx, client, session)
	return err
}

func (l *Load) grantedEpoch(ctx context.Context, client *kgo.Client, session string) (int16, error) {
	asked := l.recorder.Now()
	id, epoch, err := client.ProducerID(ctx)
	if err == nil {
		l.recorder.Add(Event{Kind: Grant, Since: asked, Process: session, ProducerID: id, Epoch: epoch})
	}
	return epoch, err
}

// send hands a record over and records what becomes of it. done is called once
// that is known.
func (l *Load) send(ctx context.Context, client *kgo.Client, session string, e Event, done func(error)) {
	e.Kind, e.Process = Send, session
	l.recorder.Add(e)
	record := &kgo.Record{Topic: e.Topic, Partition: e.Partition, Key: []byte(e.Source), Value: []byte(e.Value)}
	client.Produce(ctx, record, func(r *kgo.Record, err error) {
		e.Kind, e.Partition, e.Offset = Ack, r.Partition, r.Offset
		if err != nil {
			e.Kind, e.Offset, e.Error = Fail, 0, err.Error()
		}
		l.recorder.Add(e)
		done(err)
	})
}

// pause is how long clients wait that would wait for so long at full speed.
func (l *Load) pause(d time.Duration) time.Duration { return d * time.Duration(l.options.Pace) }

// paced calls work at most every so often at the load's pace, until ctx ends or
// work says so.
func (l *Load) paced(ctx context.Context, every time.Duration, work func() bool) {
	ticker := time.NewTicker(l.pause(every))
	defer ticker.Stop()
	for work() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Targets are what a nemesis aims at.
type Targets struct {
	Topics           []string
	Groups           []string
	TransactionalIDs []string
}

// Targets names what the load works on.
func (l *Load) Targets() Targets {
	return Targets{
		Topics: l.names.topics, Groups: []string{l.names.pipe, l.names.readers, l.names.offsets},
		TransactionalIDs: []string{l.options.Name + "-tv2-0", l.options.Name + "-tv2-1", l.options.Name + "-tv1-0"},
	}
}
