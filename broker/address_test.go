package broker

import (
	"net"
	"testing"

	"github.com/oncelog/oncelog/protocol"
)

func TestOwnAddress(t *testing.T) {
	for name, c := range map[string]struct {
		static map[string]string
		config Config
		local  string
		want   string
	}{
		"the loopback address that was dialled":    {nil, Config{}, "127.0.0.1:9092", "127.0.0.1:9092"},
		"a name for loopback on every interface":   {map[string]string{"listeners": "PLAINTEXT://:9092"}, Config{}, "[::1]:9092", "localhost:9092"},
		"the address of the network that was used": {map[string]string{"listeners": "PLAINTEXT://0.0.0.0:9092"}, Config{}, "10.1.2.3:9092", "10.1.2.3:9092"},
		"what advertised.listeners says":           {map[string]string{"advertised.listeners": "PLAINTEXT://kafka.test:1"}, Config{}, "127.0.0.1:9092", "kafka.test:1"},
		"the outer port of a container":            {nil, Config{AdvertisedHost: "docker.test", AdvertisedPort: 32768}, "172.17.0.2:9092", "docker.test:32768"},
	} {
		plan, err := mustSettings(t, c.static).plan()
		if err != nil {
			t.Fatal(err)
		}
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		b := &Broker{cfg: c.config, plan: plan}
		host, port := b.ownAddress(&protocol.Conn{Listener: "PLAINTEXT", Local: local})
		if got := net.JoinHostPort(host, nodeName(port)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
