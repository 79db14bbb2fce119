package broker

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadPropertiesTakesValuesAsTheyStand(t *testing.T) {
	got, err := ReadProperties(strings.NewReader(strings.Join([]string{
		"# a comment",
		"node.id=1",
		"node.id = 7",
		"ssl.key.password=${file:/etc/secret:pw}",
		"log.dirs=${HOME}/logs",
		"listeners=PLAINTEXT://a:1,\\",
		"   OTHER://b:2",
		"broker.rack:r\\u00e9",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"node.id": "7", "ssl.key.password": "${file:/etc/secret:pw}", "log.dirs": "${HOME}/logs",
		"listeners": "PLAINTEXT://a:1,OTHER://b:2", "broker.rack": "r\u00e9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvPropertiesFollowTheContainerImageRule(t *testing.T) {
	got := EnvProperties([]string{
		"KAFKA_NODE_ID=3", "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://x:1=2", "KAFKA_A__B___C_D=v", "KAFKA_OPTS=-Xmx1G", "KAFKA_HEAP_OPTS=1", "HOME=/root", "KAFKA_=x",
	})
	want := map[string]string{"node.id": "3", "advertised.listeners": "PLAINTEXT://x:1=2", "a_b-c.d": "v"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func mustSettings(t *testing.T, static map[string]string) *settings {
	t.Helper()
	s, err := newSettings(static, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryKeyHasADefaultThatParses(t *testing.T) {
	s := mustSettings(t, nil)
	if s.nodeID != 1 || s.offsetsPartitions != 50 || s.connectionsMaxIdle != 10*time.Minute {
		t.Errorf("defaults: node %d, offsets partitions %d, idle %v", s.nodeID, s.offsetsPartitions, s.connectionsMaxIdle)
	}
	for _, k := range brokerKeys.keys {
		if k.doc == "" || k.null && k.def != "" {
			t.Errorf("%s: doc %q, null %v, default %q", k.name, k.doc, k.null, k.def)
		}
	}
	for _, k := range topicKeys.keys {
		for _, synonym := range k.synonyms {
			b := brokerKeys.byName[synonym.name]
			if b == nil {
				t.Errorf("%s: no broker setting %s", k.name, synonym.name)
				continue
			}
			if !b.null && synonym.convert(b.def) != k.def {
				t.Errorf("%s has default %s, %s has %s", k.name, k.def, b.name, b.def)
			}
		}
	}
}

func TestStrongestSynonymWins(t *testing.T) {
	s := mustSettings(t, map[string]string{"log.retention.hours": "2", "log.retention.minutes": "5"})
	got, err := resolveTopic(nil, s)
	if err != nil || got.retention != 5*time.Minute {
		t.Errorf("retention %v, %v; want 5m", got.retention, err)
	}
	got, err = resolveTopic(map[string]string{"retention.ms": "-1"}, s)
	if err != nil || got.retention >= 0 {
		t.Errorf("retention %v, %v; want unlimited", got.retention, err)
	}
}

// The verdicts and messages are those of Apache Kafka 4.3.1 to CreateTopics.
func TestTopicConfigsAreJudgedAsByKafka(t *testing.T) {
	s := mustSettings(t, nil)
	for _, c := range []struct{ configs, want string }{
		{"nope=1", "Unknown topic config name: nope"},
		{"segment.bytes=-5", "Invalid value -5 for configuration segment.bytes: Value must be at least 1048576"},
		{"segment.bytes=abc", "Invalid value abc for configuration segment.bytes: Not a number of type INT"},
		{"segment.bytes= 2000000 ", ""},
		{"internal.segment.bytes=100", ""},
		{"cleanup.policy=", ""},
		{"cleanup.policy=foo", "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete"},
		{"cleanup.policy=compact,delete", ""},
		{"compression.type=none", "Invalid value none for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"min.insync.replicas=0", "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"},
		{"retention.ms=-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{"retention.bytes=-5", ""},
		{"min.compaction.lag.ms=10;max.compaction.lag.ms=5", "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"},
		{"preallocate=maybe", "Invalid value maybe for configuration preallocate: Expected value to be either true or false"},
		{"preallocate=TRUE", ""},
		{"message.timestamp.type=x", "Invalid value x for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime"},
		{"leader.replication.throttled.replicas=*", ""},
		{"leader.replication.throttled.replicas=0:1,1:2", ""},
		{"compression.gzip.level=0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{"compression.lz4.level=99", "Invalid value 99 for configuration compression.lz4.level: Value must be no more than 17"},
		{"remote.storage.enable=true", "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
		{"retention.ms=99999999999999999999", "Invalid value 99999999999999999999 for configuration retention.ms: Not a number of type LONG"},
	} {
		configs := map[string]string{}
		for pair := range strings.SplitSeq(c.configs, ";") {
			name, value, _ := strings.Cut(pair, "=")
			configs[name] = value
		}
		got := ""
		if err := checkTopicConfigs(configs, s); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.configs, got, c.want)
		}
	}
}

func TestListenerPlans(t *testing.T) {
	for name, c := range map[string]struct {
		static     map[string]string
		listen     []string
		advertised []string
		err        string
	}{
		"loopback by default": {nil, []string{"127.0.0.1:9092"}, nil, ""},
		"the controller of a compose file is passed over": {
			map[string]string{"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093", "controller.listener.names": "CONTROLLER", "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"},
			[]string{":9092"}, nil, ""},
		"listeners with names of their own": {
			map[string]string{"listeners": "IN://[::1]:1,OUT://h:2", "listener.security.protocol.map": "IN:PLAINTEXT,OUT:PLAINTEXT", "advertised.listeners": "OUT://example:99"},
			[]string{"[::1]:1", "h:2"}, []string{"example:99"}, ""},
		"a wildcard cannot be advertised": {map[string]string{"advertised.listeners": "PLAINTEXT://0.0.0.0:9092"}, nil, nil, "names no host"},
		"TLS is not served":               {map[string]string{"listeners": "SSL://h:1"}, nil, nil, "only PLAINTEXT"},
		"a bad port":                      {map[string]string{"listeners": "PLAINTEXT://h:70000"}, nil, nil, "port"},
	} {
		plan, err := mustSettings(t, c.static).plan()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var listen, advertised []string
		for _, l := range plan.listen {
			listen = append(listen, l.address())
		}
		for _, l := range plan.advertised {
			advertised = append(advertised, l.address())
		}
		if !slices.Equal(listen, c.listen) || !slices.Equal(advertised, c.advertised) {
			t.Errorf("%s: listen %q advertised %q", name, listen, advertised)
		}
	}
}

// What DescribeConfigs tells of a topic without configs is, word for word, what
// Apache Kafka 4.3.1 told.
func TestTopicConfigsAreThoseOfKafka(t *testing.T) {
	want, err := os.ReadFile("testdata/topic-configs-kafka-4.3.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, c := range describeTopic(nil, mustSettings(t, nil)) {
		fmt.Fprintf(&got, "%s|%s|%v|%v|", c.Name, *c.Value, c.Source, c.ConfigType)
		for _, s := range c.ConfigSynonyms {
			fmt.Fprintf(&got, " %s=%s(%v)", s.Name, *s.Value, s.Source)
		}
		got.WriteString("\n")
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

// As Apache Kafka 4.3.1 answered: a setting in another unit is in force, and is
// told only where the one in milliseconds is set too.
func TestRetentionInHoursIsToldAsByKafka(t *testing.T) {
	for _, c := range []struct {
		configs, static, dynamic map[string]string
		want                     string
	}{
		{nil, map[string]string{"log.retention.hours": "2"}, nil, "7200000(DEFAULT_CONFIG)"},
		{
			map[string]string{"retention.ms": "5"}, map[string]string{"log.retention.hours": "2"}, nil,
			"5(DYNAMIC_TOPIC_CONFIG) retention.ms=5(DYNAMIC_TOPIC_CONFIG)",
		},
		{
			nil, map[string]string{"log.retention.hours": "2"}, map[string]string{"log.retention.ms": "3600000"},
			"3600000(DYNAMIC_DEFAULT_BROKER_CONFIG) log.retention.ms=3600000(DYNAMIC_DEFAULT_BROKER_CONFIG)" +
				" log.retention.hours=2(STATIC_BROKER_CONFIG) log.retention.hours=168(DEFAULT_CONFIG)",
		},
	} {
		s := mustSettings(t, c.static)
		if c.dynamic != nil {
			s.dynamicDefault = c.dynamic
		}
		for _, d := range describeTopic(c.configs, s) {
			if d.Name != "retention.ms" {
				continue
			}
			got := fmt.Sprintf("%s(%v)", *d.Value, d.Source)
			for _, s := range d.ConfigSynonyms {
				got += fmt.Sprintf(" %s=%s(%v)", s.Name, *s.Value, s.Source)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		}
	}
}
