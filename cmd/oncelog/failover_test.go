package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/conformance/nemesis"
)

var (
	failoverKills  = flag.Int("kills", 3, "how often TestFailover kills the leader's process")
	failoverBeside = flag.Int("beside", 9, "partitions of another topic, whose leaders TestFailover's kills move too")
	failoverAck    = flag.Duration("ack", time.Minute, "how long TestFailover's producer may wait for its next acknowledgement when the leader's process was killed")
)

// A trio is three brokers in three processes that are one cluster.
type trio struct {
	*testing.T
	configs   [3][]string // arguments of serve
	processes [3]*process
}

// newTrio starts them on the folders 1, 2 and 3 in dir, with more settings than
// they need.
func newTrio(t *testing.T, dir string, settings ...string) *trio {
	t.Helper()
	c := &trio{T: t}
	ports := freePorts(t, 2*len(c.configs))
	var voters []string
	for i := range c.configs {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[i]))
	}
	for i := range c.configs {
		c.configs[i] = serveNode(i+1, "failover", filepath.Join(dir, strconv.Itoa(i+1)), strings.Join(voters, ","),
			fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", ports[3+i], ports[i]))
		for _, one := range settings {
			c.configs[i] = append(c.configs[i], "--set", one)
		}
		c.processes[i] = launch(t, c.configs[i]...)
	}
	for i := range c.processes {
		c.awaitBanner(i)
	}
	return c
}

// freePorts finds ports that nobody has and no outgoing connection gets; a test that
// restarts brokers needs the same ones again.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := nemesis.ListenLow()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// serveNode is the command line of one broker of several.
func serveNode(id int, clusterID, dir, voters, listeners string) []string {
	args := []string{"serve"}
	for _, set := range []string{
		fmt.Sprintf("node.id=%d", id), "cluster.id=" + clusterID, "log.dirs=" + dir, "listeners=" + listeners,
		"controller.listener.names=CONTROLLER", "controller.quorum.voters=" + voters,
	} {
		args = append(args, "--set", set)
	}
	return args
}

func (c *trio) awaitBanner(i int) {
	c.Helper()
	if _, ok := <-c.processes[i].said; !ok {
		<-c.processes[i].done
		c.Fatalf("broker %d gave no banner; it said:\n%s", i+1, c.processes[i].errs)
	}
}

// addresses are where clients begin.
func (c *trio) addresses() (all []string) {
	for _, config := range c.configs {
		for _, arg := range config {
			if rest, ok := strings.CutPrefix(arg, "listeners=PLAINTEXT://"); ok {
				address, _, _ := strings.Cut(rest, ",")
				all = append(all, address)
			}
		}
	}
	return all
}

// client is one that asks again soon, so that what is measured is the cluster.
func (c *trio) client(options ...kgo.Opt) *kgo.Client {
	c.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.addresses()...), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, options...)...)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(client.Close)
	return client
}

// leader is who leads the topic's only partition, by the newest of what the
// brokers say; each is asked.
func (c *trio) leader(client *kgo.Client, topic string) int32 {
	c.Helper()
	newest := kmsg.MetadataResponseTopicPartition{Leader: -1, LeaderEpoch: -1}
	for _, broker := range client.SeedBrokers() {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
		answer, err := broker.RetriableRequest(c.Context(), req)
		if err != nil {
			c.Fatal(err)
		}
		for _, t := range answer.(*kmsg.MetadataResponse).Topics {
			for _, p := range t.Partitions {
				if p.LeaderEpoch > newest.LeaderEpoch {
					newest = p
				}
			}
		}
	}
	if newest.Leader < 1 || int(newest.Leader) > len(c.configs) {
		c.Fatalf("%s-0 is led by %d, want one of the brokers", topic, newest.Leader)
	}
	return newest.Leader
}

// ledBy counts a topic's partitions by their leader, -1 for none, as a broker
// that is there tells it.
func (c *trio) ledBy(client *kgo.Client, topic string) map[int32]int {
	c.Helper()
	meta, err := kadm.NewClient(client).Metadata(c.Context(), topic)
	if err != nil {
		c.Fatal(err)
	}
	count := map[int32]int{}
	for _, p := range meta.Topics[topic].Partitions {
		count[p.Leader]++
	}
	return count
}

// An ack is an acknowledged record: when its producer began and was answered.
type ack struct{ began, at time.Time }

// produce sends 0, 1, 2 ... one after another until ctx ends, which ends acks.
func (c *trio) produce(ctx context.Context, client *kgo.Client, topic string, acks chan<- ack) {
	defer close(acks)
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(n))}).FirstErr(); err != nil {
			c.Errorf("record %d: %v", n, err)
			return
		}
		acks <- ack{began, time.Now()}
	}
}

// TestFailover kills the leader's process again and again under an idempotent
// producer with acks=all: the next acknowledgement comes in time, and all that
// was acknowledged is there once and in order.
func TestFailover(t *testing.T) {
	c := newTrio(t, t.TempDir())
	const topic, beside = "orders", "beside"
	client := c.client()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), int32(*failoverBeside), 3, nil, beside); err != nil && !errors.Is(err, kerr.RequestTimedOut) {
		t.Fatal(err)
	}
	for began := time.Now(); c.ledBy(client, beside)[-1] > 0; { // a thousand partitions take longer than the answer waits
		if time.Since(began) > hangs {
			t.Fatalf("partitions of %s by leader after %v: %v", beside, hangs, c.ledBy(client, beside))
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	acks, total := make(chan ack, 16), 0
	t.Cleanup(func() { // after the client is closed: the producer ends
		for range acks {
			total++
		}
	})
	producer := c.client(kgo.RecordDeliveryTimeout(hangs))
	go c.produce(ctx, producer, topic, acks)
	next := func() ack {
		t.Helper()
		a, ok := <-acks
		if !ok {
			t.Fatal("the producer has ended")
		}
		total++
		return a
	}
	var waits []time.Duration
	for kill := range *failoverKills {
		for range 100 {
			next()
		}
		leader := c.leader(client, topic)
		led := c.ledBy(client, beside)[leader]
		killed := time.Now()
		c.processes[leader-1].kill()
		gone, a := time.Now(), next()
		for a.began.Before(gone) { // what was on its way may still be answered
			a = next()
		}
		waits = append(waits, a.at.Sub(killed))
		t.Logf("kill %d, of broker %d: the next acknowledgement after %v", kill+1, leader, waits[kill].Round(time.Millisecond))
		if waits[kill] > *failoverAck {
			t.Errorf("kill %d: the next acknowledgement came after %v, want %v", kill+1, waits[kill], *failoverAck)
		}
		for all := c.ledBy(client, beside); all[leader] > 0 || all[-1] > 0; all = c.ledBy(client, beside) {
			if time.Since(killed) > hangs {
				t.Fatalf("kill %d: partitions by leader %v after %v, want none without", kill+1, all, hangs)
			}
		}
		t.Logf("kill %d: %d of %d other partitions had another leader after %v", kill+1, led, *failoverBeside, time.Since(killed).Round(time.Millisecond))
		c.processes[leader-1] = launch(t, c.configs[leader-1]...)
		c.awaitBanner(int(leader) - 1)
	}
	stop()
	for range acks {
		total++
	}
	c.readBack(topic, total)
	slices.Sort(waits)
	t.Logf("%d kills, %d records: to the next acknowledgement p50 %v, max %v", len(waits), total,
		waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
	for _, p := range c.processes {
		stopCleanly(t, p)
	}
}

// readBack wants the records 0 to n-1, each once and in order, and no more.
func (c *trio) readBack(topic string, n int) {
	c.Helper()
	start := kgo.NewOffset().AtStart()
	client := c.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: start}}))
	ctx, cancel := context.WithTimeout(c.Context(), hangs)
	defer cancel()
	for at := 0; at < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.Fatalf("after %d of %d records: %v", at, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != strconv.Itoa(at) {
				c.Errorf("offset %d holds %s, want %d", r.Offset, r.Value, at)
			}
			at++
		})
	}
	offsets, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	for began := time.Now(); retriable(err) && time.Since(began) < hangs; { // as Kafka's clients do, and kadm does not
		offsets, err = kadm.NewClient(client).ListEndOffsets(ctx, topic)
	}
	if err != nil {
		c.Fatal(err)
	}
	if o, _ := offsets.Lookup(topic, 0); o.Offset != int64(n) {
		c.Errorf("the log ends at %d, want %d: something is there twice", o.Offset, n)
	}
}

// retriable says whether a client would ask again.
func retriable(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code) && code.Retriable
}

// What keeps a node from joining is said at its start.
func TestServeRefusesWhatIsNoCluster(t *testing.T) {
	ports := freePorts(t, 3)
	voters := fmt.Sprintf("1@127.0.0.1:%d,2@127.0.0.1:%d,3@127.0.0.1:%d", ports[0], ports[1], ports[2])
	listeners := fmt.Sprintf("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:%d", ports[0])
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	alone, other := filepath.Join(t.TempDir(), "alone"), t.TempDir()
	stopCleanly(t, start(t, "dev", "--headless", "--port", "0", "--log-dirs", alone))
	stopCleanly(t, start(t, "dev", "--headless", "--port", "0", "--brokers", "3", "--log-dirs", other))
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no cluster.id":           {serveNode(1, "", t.TempDir(), voters, listeners), exitUsage, "cluster.id must be set"},
		"at a voter's address":    {serveNode(4, "c", t.TempDir(), voters, listeners), exitFailed, "node.id must differ"},
		"no controller listener":  {serveNode(1, "c", t.TempDir(), voters, "PLAINTEXT://127.0.0.1:0"), exitUsage, "listeners needs one"},
		"a voter that is none":    {serveNode(1, "c", t.TempDir(), "1:9093,2:9093", listeners), exitUsage, "id@host:port"},
		"a port in use":           {serveNode(1, "c", t.TempDir(), voters, "PLAINTEXT://127.0.0.1:0,CONTROLLER://"+taken.Addr().String()), exitUsage, "choose another port"},
		"a lone broker's folder":  {serveNode(1, "c", alone, voters, listeners), exitFailed, "belongs to a broker that was alone"},
		"folder of other cluster": {serveNode(1, "c", filepath.Join(other, "1"), voters, listeners), exitFailed, "belongs to cluster.id"},
		"folder of other node":    {serveNode(1, "c", filepath.Join(other, "2"), voters, listeners), exitFailed, "belongs to node.id 2, not 1"},
		"a cluster's folder":      {[]string{"serve", "--set", "log.dirs=" + filepath.Join(other, "1"), "--set", "listeners=PLAINTEXT://127.0.0.1:0"}, exitFailed, "controller.quorum.voters must name"},
	} {
		code, _, errOut := execute(t, "", test.args...)
		if code != test.code || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: exit %d, %q; want %d and %q", name, code, errOut, test.code, test.want)
		}
	}
}
