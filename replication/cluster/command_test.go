package cluster

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// examples is one command of each kind, as docs/format/metadata.md shows them.
func examples() []command {
	value, name, rate := "1000", "c1", 1000.0
	return []command{
		{Found: &found{ClusterID: "c", Features: map[string]int16{TransactionVersion: 2}}},
		{Register: &Broker{ID: 1, Listeners: []Listener{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "h", Port: 9092}}, Rack: "r", Address: "h:9093"}},
		{Register: &Broker{ID: 4, Address: "h4:9093", Joining: true}},
		{Unregister: &unregister{Broker: 1}},
		{CreateTopic: &Topic{Name: "a", ID: UUID{1}, Created: 5, Configs: map[string]string{"k": "v"}, Partitions: []Partition{{Replicas: []int32{1, 2}}}}},
		{DeleteTopic: &deleteTopic{ID: UUID{1}, Time: 6}},
		{AddPartition: &addPartitions{ID: UUID{1}, Partitions: []Partition{{Replicas: []int32{2}}}}},
		{ChangePartitions: &changePartitions{ID: UUID{1}, Partitions: map[int32]Partition{0: {Replicas: []int32{2, 3, 1}, Adding: []int32{3}, Removing: []int32{1}, Founded: true}}}},
		{SetConfigs: &setConfigs{Resource: Resource{TopicResource, "a"}, Values: map[string]*string{"k": nil, "l": &value}}},
		{SetFeature: &setFeature{Name: TransactionVersion, Level: 1}},
		{ProducerIDs: &producerIDs{Broker: 1, First: 1000, Count: 1000}},
		{SetQuotas: &setQuotas{Entity: QuotaEntity{QuotaClientID: &name, QuotaUser: nil}, Values: map[string]*float64{"consumer_byte_rate": nil, "producer_byte_rate": &rate}}},
	}
}

func TestCommandsDecodeAsEncoded(t *testing.T) {
	for _, want := range examples() {
		got, err := decodeCommand(want.encode())
		if err != nil {
			t.Fatalf("%s: %v", want.encode(), err)
		}
		want.Version = commandVersion
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.encode(), diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct{ name, value string }{
		{"nothing", ``},
		{"no JSON", `{`},
		{"no version", `{"deleteTopic":{"id":"AAAAAAAAAAAAAAAAAAAAAQ","time":0}}`},
		{"newer version", `{"v":2,"deleteTopic":{"id":"AAAAAAAAAAAAAAAAAAAAAQ","time":0}}`},
		{"no command", `{"v":1}`},
		{"two commands", `{"v":1,"unregisterBroker":{"broker":1},"setFeature":{"name":"a","level":1}}`},
		{"unknown command", `{"v":1,"dance":{}}`},
		{"unknown field", `{"v":1,"unregisterBroker":{"broker":1,"why":"x"}}`},
		{"bytes after", `{"v":1,"unregisterBroker":{"broker":1}} {}`},
		{"short id", `{"v":1,"deleteTopic":{"id":"AAAA","time":0}}`},
		{"topic without partitions", `{"v":1,"createTopic":{"name":"a","id":"AAAAAAAAAAAAAAAAAAAAAQ","created":0,"partitions":[]}}`},
		{"producer ids beyond the last", `{"v":1,"producerIds":{"broker":1,"first":9223372036854775807,"count":1}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decodeCommand([]byte(tt.value))
			wantErr(t, err, errCommand)
		})
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, c := range examples() {
		f.Add(c.encode())
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := decodeCommand(value)
		if err != nil {
			return
		}
		again, err := decodeCommand(c.encode())
		if err != nil {
			t.Fatalf("%s does not decode again: %v", c.encode(), err)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" { // an empty list is left out
			t.Errorf("decoded, encoded and decoded (-first +second):\n%s", diff)
		}
		img := small()
		img.apply(c, 9, map[part]struct{}{})
		img.apply(again, 10, map[part]struct{}{})
	})
}

func FuzzDecodeHead(f *testing.F) {
	f.Add(encodeHead(head{Version: 1, Offset: 5, ClusterID: "c", Features: defaultFeatures()}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHead(b)
		if err != nil {
			return
		}
		if again, err := decodeHead(encodeHead(h)); err != nil || !cmp.Equal(h, again) {
			t.Errorf("got %+v, %v, want %+v", again, err, h)
		}
	})
}

func TestUUID(t *testing.T) {
	if got := MetadataTopicID.String(); got != "AAAAAAAAAAAAAAAAAAAAAQ" {
		t.Errorf("got %s", got)
	}
	for range 1000 {
		id := NewUUID()
		got, err := ParseUUID(id.String())
		if err != nil || got != id || id.String()[0] == '-' || len(id.String()) != 22 {
			t.Fatalf("got %v, %v, want %v", got, err, id)
		}
	}
	for _, text := range []string{"", "AAAA", "AAAAAAAAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAR"} {
		if _, err := ParseUUID(text); err == nil {
			t.Errorf("%q is taken for a uuid", text)
		}
	}
}

// TestFormatPage holds docs/format/metadata.md to what is written.
func TestFormatPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/metadata.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range examples() {
		if !bytes.Contains(page, append(c.encode(), '\n')) {
			t.Errorf("the page lacks %s", c.encode())
		}
	}
}
