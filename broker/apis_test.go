package broker

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/sweep"
)

var golden = flag.Bool("golden", false, "rewrite the golden files")

// open starts a broker in memory, with one partition for each internal topic.
func open(t testing.TB, static map[string]string) (*Broker, *memnet.Network) {
	t.Helper()
	return openOn(t, vfs.NewMem(), static)
}

// openOn is open on a disk of the caller's.
func openOn(t testing.TB, disk vfs.FS, static map[string]string) (*Broker, *memnet.Network) {
	t.Helper()
	network := memnet.New()
	all := map[string]string{"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "group.initial.rebalance.delay.ms": "0"}
	for name, value := range static {
		all[name] = value
	}
	b, err := Open(t.Context(), Config{Properties: all, FS: disk, Listen: network.Listen, Dial: network.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b, network
}

// connected is the context of a connection's requests.
func connected(ctx context.Context) context.Context {
	return protocol.WithConn(ctx, &protocol.Conn{
		ID: 1, Listener: "PLAINTEXT", Local: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092}, Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000},
	})
}

// Every version that is advertised is answered, whole and without bytes left
// over; one above closes the connection, or is answered with 35 by ApiVersions.
func TestEveryVersionIsAnswered(t *testing.T) {
	b, _ := open(t, nil)
	ctx := connected(t.Context())
	for _, c := range sweep.Cases(b.table, nil) {
		reply, err := b.table.Serve(ctx, c.Frame, nil)
		if c.Key == int16(kmsg.Produce) && c.Version < 3 {
			if !errors.Is(err, protocol.ErrClose) {
				t.Errorf("%v: %v, want a closed connection (KAFKA-18659)", c, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		if _, err := c.Check(reply); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	for _, c := range sweep.Beyond(b.table) {
		reply, err := b.table.Serve(ctx, c.Frame, nil)
		if c.Key == int16(kmsg.ApiVersions) {
			if err != nil {
				t.Errorf("%v: %v", c, err)
			} else if err := c.CheckUnsupported(reply); err != nil {
				t.Errorf("%v: %v", c, err)
			}
			continue
		}
		if !errors.Is(err, protocol.ErrClose) {
			t.Errorf("%v, one beyond: %v, want a closed connection", c, err)
		}
	}
}

// Phase 1 exactly, no key more, no version less; AlterConfigs, which kafkajs
// asks for; what Kafka's tools and consoles ask every broker for: ACLs, log
// folders, config resources and pages of partitions; and what moves replicas and
// leaders.
func TestTableIsPhaseOne(t *testing.T) {
	b, _ := open(t, nil)
	want := map[int16][2]int16{
		0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 8: {2, 10}, 9: {1, 10}, 10: {0, 5}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5}, 14: {0, 5},
		15: {0, 6}, 16: {0, 5}, 17: {0, 1}, 18: {0, 5}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 24: {0, 3}, 25: {0, 4},
		26: {0, 5}, 27: {1, 2}, 28: {0, 5}, 29: {1, 3}, 30: {1, 3}, 31: {1, 3}, 32: {1, 4}, 33: {0, 2}, 34: {1, 2}, 35: {1, 5}, 36: {0, 2}, 37: {0, 3}, 42: {0, 3}, 43: {0, 2}, 44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 49: {0, 1}, 55: {0, 2}, 57: {0, 2}, 60: {0, 2}, 61: {0, 0}, 64: {0, 0}, 65: {0, 0}, 66: {0, 2}, 74: {0, 1}, 75: {0, 0},
	}
	for _, a := range b.table.APIs() {
		lowest, highest := a.Versions()
		if got := [2]int16{lowest, highest}; got != want[a.Key()] {
			t.Errorf("%s: versions %v, want %v", a.Name(), got, want[a.Key()])
		}
		delete(want, a.Key())
	}
	for key := range want {
		t.Errorf("%s is not in the table", kmsg.NameForKey(key))
	}
}

// docs/apis.md is what the table says; -golden writes it.
func TestAPIPage(t *testing.T) {
	b, _ := open(t, nil)
	const name = "../docs/apis.md"
	page := protocol.Markdown(b.table)
	if *golden {
		if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Errorf("%s is not what the table says; run make golden", name)
	}
}
