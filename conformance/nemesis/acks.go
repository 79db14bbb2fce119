package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Of a comparison of acks.
const (
	acksPartitions = 6                      // of which one broker leads two at least
	acksLoad       = 200                    // acknowledgements before a fault, and after it
	acksBehind     = 50                     // acknowledgements that followers have not heard of when the leader is killed
	acksSlow       = 200 * time.Millisecond // how far followers are behind then
	acksPatience   = time.Minute
)

// An AcksResult is what became of the records that one producer was told are
// stored, when the broker that told so was replaced.
type AcksResult struct {
	Fault string   `json:"fault"`
	Acks  string   `json:"acks"`
	Acked int      `json:"acked"`
	Lost  int      `json:"lost"`
	Gone  []string `json:"gone"` // the first of them, with the offset that was answered
}

// CompareAcks has a producer with acks=1 and one with acks=all write to the same
// leader, which is parted from its followers, and then one that is killed while
// they are behind. What was acknowledged is read back.
func CompareAcks(ctx context.Context, c Cluster, topic string, say func(format string, args ...any)) ([]AcksResult, error) {
	client, err := newClient(c.Bootstrap())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, acksPartitions, -1, nil, topic)
	if err = errors.Join(err, created.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return nil, fmt.Errorf("create topic %s: %w", topic, err)
	}
	b := &bout{cluster: c, client: client, topic: topic, say: say}
	var results []AcksResult
	for _, f := range []struct {
		name string
		do   func(context.Context) error
	}{{"leader isolated", b.isolate}, {"leader killed", b.kill}} {
		found, err := b.run(ctx, f.name, f.do)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		results = append(results, found...)
	}
	return results, nil
}

// A bout is one fault under two producers.
type bout struct {
	cluster Cluster
	client  *kgo.Client
	topic   string
	say     func(format string, args ...any)

	leader    int32
	producers []*ackedProducer
}

// run writes, does the fault, writes on, and reads.
func (b *bout) run(ctx context.Context, name string, fault func(context.Context) error) (results []AcksResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, acksPatience)
	defer cancel()
	leader, partitions, err := b.pickLeader(ctx)
	if err != nil {
		return nil, err
	}
	b.leader, b.producers = leader, nil
	defer func() {
		for _, p := range b.producers {
			p.close()
		}
	}()
	for i, acks := range []string{"1", "all"} {
		p, err := newAckedProducer(b.cluster.Bootstrap(), b.topic, partitions[i], acks, name)
		if err != nil {
			return nil, err
		}
		b.producers = append(b.producers, p)
	}
	if err := b.progress(ctx, acksLoad); err != nil {
		return nil, err
	}
	b.say("%s: broker %d, which leads %s-%d (acks=1) and %s-%d (acks=all)", name, leader, b.topic, partitions[0], b.topic, partitions[1])
	if err := fault(ctx); err != nil {
		return nil, err
	}
	if err := b.progress(ctx, acksLoad); err != nil {
		return nil, err
	}
	for _, p := range b.producers {
		p.close()
		r, err := b.compare(ctx, p)
		if err != nil {
			return nil, err
		}
		r.Fault = name
		b.say("%s, acks=%s: %d acknowledged, %d lost", name, r.Acks, r.Acked, r.Lost)
		results = append(results, r)
	}
	return results, nil
}

// isolate parts the leader from its followers until they have elected another.
func (b *bout) isolate(ctx context.Context) error {
	var errs []error
	for _, other := range b.others() {
		errs = append(errs, b.cluster.Cut(b.leader, other), b.cluster.Cut(other, b.leader))
	}
	return errors.Join(append(errs, b.awaitOther(ctx), b.cluster.Heal())...)
}

// kill kills the leader while its followers are behind.
func (b *bout) kill(ctx context.Context) error {
	var errs []error
	for _, other := range b.others() {
		errs = append(errs, b.cluster.Cut(b.leader, other))
	}
	one := b.producers[0]
	errs = append(errs, one.await(ctx, one.count()+acksBehind), b.cluster.Kill(b.leader), b.awaitOther(ctx), b.cluster.Heal(), b.cluster.Start(b.leader))
	return errors.Join(append(errs, b.cluster.AwaitServing(ctx, b.leader))...)
}

func (b *bout) others() []int32 {
	return slices.DeleteFunc(slices.Clone(b.cluster.Nodes()), func(n int32) bool { return n == b.leader })
}

// pickLeader finds a broker that leads two partitions, once all are led.
func (b *bout) pickLeader(ctx context.Context) (leader int32, partitions []int32, err error) {
	err = b.until(ctx, b.client, func(led map[int32][]int32) bool {
		total := 0
		leader, partitions = 0, nil
		for node, of := range led {
			total += len(of)
			if len(of) >= 2 && (len(of) > len(partitions) || node < leader) {
				leader, partitions = node, of
			}
		}
		return total == acksPartitions && len(partitions) >= 2
	})
	return leader, partitions, err
}

// awaitOther waits until the other brokers say that none of the partitions is
// led by the old leader.
func (b *bout) awaitOther(ctx context.Context) error {
	var seeds []string
	for i, node := range b.cluster.Nodes() {
		if node != b.leader {
			seeds = append(seeds, b.cluster.Bootstrap()[i])
		}
	}
	client, err := newClient(seeds)
	if err != nil {
		return err
	}
	defer client.Close()
	return b.until(ctx, client, func(led map[int32][]int32) bool {
		total := 0
		for _, of := range led {
			total += len(of)
		}
		return len(led[b.leader]) == 0 && total == acksPartitions
	})
}

// until asks who leads what until it is as wanted. Each broker is asked in turn,
// and only those the client began with.
func (b *bout) until(ctx context.Context, client *kgo.Client, ok func(led map[int32][]int32) bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	seeds := client.SeedBrokers()
	for i := 0; ; i++ {
		led := map[int32][]int32{}
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &b.topic}}
		answer, err := seeds[i%len(seeds)].RetriableRequest(ctx, req)
		if resp, ok := answer.(*kmsg.MetadataResponse); ok && err == nil && len(resp.Topics) == 1 {
			for _, p := range resp.Topics[0].Partitions {
				if p.Leader >= 0 {
					led[p.Leader] = append(led[p.Leader], p.Partition)
				}
			}
		}
		if ok(led) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the partitions of %s are led by %v: %w", b.topic, led, context.Cause(ctx))
		}
	}
}

// progress waits until both producers got so many acknowledgements more.
func (b *bout) progress(ctx context.Context, more int) error {
	for _, p := range b.producers {
		if err := p.await(ctx, p.count()+more); err != nil {
			return err
		}
	}
	return nil
}

// compare reads a producer's partition and counts what is not there.
func (b *bout) compare(ctx context.Context, p *ackedProducer) (AcksResult, error) {
	there, err := b.read(ctx, p.partition)
	if err != nil {
		return AcksResult{}, err
	}
	r := AcksResult{Acks: p.acks, Acked: len(p.acked), Gone: []string{}}
	for _, a := range p.acked {
		if there[a.value] {
			continue
		}
		if r.Lost++; r.Lost <= 3 {
			r.Gone = append(r.Gone, fmt.Sprintf("%s, acknowledged at %s-%d@%d", a.value, b.topic, p.partition, a.offset))
		}
	}
	return r, nil
}

// read returns the values of a partition, up to its high watermark.
func (b *bout) read(ctx context.Context, partition int32) (map[string]bool, error) {
	start := map[string]map[int32]kgo.Offset{b.topic: {partition: kgo.NewOffset().AtStart()}}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...), kgo.ConsumePartitions(start))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	end, err := b.end(ctx, partition)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for at := int64(0); at < end; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %s-%d to %d, came to %d: %w", b.topic, partition, end, at, context.Cause(ctx))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			there[string(r.Value)] = true
			at = r.Offset + 1
		})
	}
	return there, nil
}

// end asks for the high watermark of a partition, which may just be without a
// leader.
func (b *bout) end(ctx context.Context, partition int32) (int64, error) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ends, err := kadm.NewClient(b.client).ListEndOffsets(ctx, b.topic)
		end, found := ends.Lookup(b.topic, partition)
		if found && end.Err == nil {
			return end.Offset, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("ask for the end of %s-%d: %w", b.topic, partition, errors.Join(err, end.Err, context.Cause(ctx)))
		}
	}
}

// An ackedProducer writes as fast as a small window lets it, and keeps what was
// acknowledged.
type ackedProducer struct {
	partition int32
	acks      string
	client    *kgo.Client
	stop      context.CancelFunc
	writing   sync.WaitGroup
	closing   sync.Once

	mu    sync.Mutex
	acked []ackedRecord
	more  chan struct{} // closed and replaced at each acknowledgement
}

type ackedRecord struct {
	value  string
	offset int64
}

func newAckedProducer(bootstrap []string, topic string, partition int32, acks, name string) (*ackedProducer, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(20),
	}
	if acks == "1" {
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &ackedProducer{partition: partition, acks: acks, client: client, stop: stop, more: make(chan struct{})}
	p.writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			value := fmt.Sprintf("%s/acks=%s/%d", strings.ReplaceAll(name, " ", "-"), acks, n)
			client.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}, func(r *kgo.Record, err error) {
				if err == nil {
					p.add(ackedRecord{value, r.Offset})
				}
			})
		}
	})
	return p, nil
}

func (p *ackedProducer) add(a ackedRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked = append(p.acked, a)
	close(p.more)
	p.more = make(chan struct{})
}

func (p *ackedProducer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// await waits until so many records were acknowledged.
func (p *ackedProducer) await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		have, more := len(p.acked), p.more
		p.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("the producer with acks=%s got %d acknowledgements, want %d: %w", p.acks, have, n, context.Cause(ctx))
		}
	}
}

// close ends the producer; what it was told until then counts.
func (p *ackedProducer) close() {
	p.closing.Do(func() {
		p.stop()
		p.client.Close()
		p.writing.Wait()
	})
}
