//go:build synctests

package sim_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/conformance/verify"
)

var moves = flag.Uint64("moves", 6, "how many seeds TestMoves runs")

// movers is how many brokers partitions are moved about on.
const movers = 5

// TestMoves has partitions, those of the coordinators too, moved round and round
// over five brokers and leaders elected, while idempotent and transactional clients
// work; a broker is cut off, killed or asked to stop in the middle. Nothing may be
// lost, doubled or out of order, and every reassignment comes to its end.
func TestMoves(t *testing.T) {
	var mu sync.Mutex
	var total verify.Figures
	finished := 0
	t.Run("seeds", func(t *testing.T) {
		for seed := uint64(1); seed <= *moves; seed++ {
			if *oneSeed != 0 && seed != *oneSeed {
				continue
			}
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				v, moved := moveAbout(t, seed)
				mu.Lock()
				defer mu.Unlock()
				total, finished = sum(total, v.Figures), finished+moved
				for _, a := range v.Anomalies {
					t.Errorf("seed %d: %v", seed, a)
				}
			})
		}
	})
	t.Logf("%d partitions moved: %+v", finished, total)
	if least := int(*moves); *oneSeed == 0 && (finished < 10*least || total.Acked < 20*least || total.Committed < least) {
		t.Errorf("inconclusive: %d moves, %d acknowledged records, %d committed transactions in %d seeds", finished, total.Acked, total.Committed, least)
	}
}

// A mover moves partitions about.
type mover struct {
	*testing.T
	cluster *brokertest.Cluster
	random  *rand.Rand
	client  *kgo.Client
	moved   int
}

// moveAbout runs one seed and judges it.
func moveAbout(t *testing.T, seed uint64) (v verify.Verdict, moved int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		options := brokertest.Options{Properties: map[string]string{"leader.imbalance.check.interval.seconds": "3"}, Logger: slog.New(slog.DiscardHandler)}
		if *oneSeed != 0 && testing.Verbose() {
			options.Logger = nil
		}
		c := brokertest.StartCluster(t, movers, options)
		for node := range int32(movers) {
			host := brokertest.HostName(node + 1)
			c.Network.Slow(host, outside, latency)
			c.Network.Slow(outside, host, latency)
		}
		r := verify.NewRecorder()
		r.Add(verify.Event{Kind: verify.Round})
		dial := c.Network.Host(outside).Dial
		load, err := verify.Start(t.Context(), r, verify.Options{
			Brokers: c.Addresses(), TransactionTimeout: 2 * time.Second, Settle: 15 * time.Second, Seed: seed, Name: "sim", Dial: dial, Pace: 80,
		})
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.Dialer(dial))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		m := &mover{T: t, cluster: c, random: rand.New(rand.NewPCG(seed, 1)), client: client}
		time.Sleep(2 * time.Second)
		for round := range 4 {
			r.Add(verify.Event{Kind: verify.Kill})
			m.round(round)
		}
		m.awaitStill()
		if err := load.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		v, moved = verify.Judge(r.History(), verify.Floors{}), m.moved
	})
	return v, moved
}

// round wishes for other replicas of some partitions, elects leaders and has one
// node go wrong meanwhile.
func (m *mover) round(n int) {
	meta, err := kadm.NewClient(m.client).Metadata(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
		if m.random.IntN(3) == 0 {
			return
		}
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		one := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		t.Topic, one.Partition = p.Topic, p.Partition
		size := 2 + m.random.IntN(3)
		if strings.HasPrefix(p.Topic, "__") {
			size = 3
		}
		for _, i := range m.random.Perm(movers)[:size] {
			one.Replicas = append(one.Replicas, int32(i+1))
		}
		t.Partitions = append(t.Partitions, one)
		req.Topics = append(req.Topics, t)
	})
	resp, err := req.RequestWith(m.Context(), m.client)
	if err != nil || resp.ErrorCode != 0 {
		m.Fatalf("round %d: %v, code %d", n, err, resp.ErrorCode)
	}
	for _, t := range resp.Topics {
		if t.Partitions[0].ErrorCode != 0 {
			m.Errorf("round %d: %s-%d: code %d", n, t.Topic, t.Partitions[0].Partition, t.Partitions[0].ErrorCode)
		}
		m.moved++
	}
	node := int32(1 + m.random.IntN(movers))
	time.Sleep(time.Duration(m.random.IntN(150)) * time.Millisecond)
	m.harm(node, m.random.IntN(4), time.Duration(500+m.random.IntN(2500))*time.Millisecond)
	if m.random.IntN(2) == 0 { // else the next wish comes before this one is fulfilled
		m.awaitStill()
	}
	if _, err := kmsg.NewPtrElectLeadersRequest().RequestWith(m.Context(), m.client); err != nil {
		m.Errorf("round %d: elect the preferred leaders: %v", n, err)
	}
}

// harm has something happen to a node, and ends it.
func (m *mover) harm(node int32, kind int, length time.Duration) {
	host := brokertest.HostName(node)
	switch kind {
	case 0:
		time.Sleep(length)
		return
	case 1:
		for other := int32(1); other <= movers; other++ {
			m.cluster.Network.Cut(host, brokertest.HostName(other))
			m.cluster.Network.Cut(brokertest.HostName(other), host)
		}
		time.Sleep(length)
		for other := int32(1); other <= movers; other++ {
			m.cluster.Network.Heal(host, brokertest.HostName(other))
			m.cluster.Network.Heal(brokertest.HostName(other), host)
		}
		return
	case 2:
		if err := m.cluster.Kill(node); err != nil {
			m.Fatal(err)
		}
	default:
		if err := m.cluster.Stop(node); err != nil {
			m.Fatal(err)
		}
	}
	time.Sleep(length)
	if err := m.cluster.Start(m.Context(), node); err != nil {
		m.Fatal(err)
	}
}

// awaitStill waits until all reassignments have come to their end.
func (m *mover) awaitStill() {
	for range 240 {
		time.Sleep(250 * time.Millisecond)
		resp, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(m.Context(), m.client)
		if err == nil && len(resp.Topics) == 0 {
			return
		}
	}
	resp, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(m.Context(), m.client)
	m.Errorf("partitions are being reassigned after a minute: %v, %+v", err, resp.Topics)
}
