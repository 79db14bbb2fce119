package broker_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/broker/brokertest"
)

// recordFrom names a fresh Apache Kafka, started by tools/kafka/up.sh with the
// static settings of the one scenario that -run names; its replies are recorded.
var recordFrom = flag.String("kafka", "", "host:port of a Kafka whose replies to the config scenarios are recorded")

// A scenario is a file of requests about configs and the replies of Apache
// Kafka 4.3.1 to them. Where this broker answers something else, that stands
// behind Kafka's reply under "oncelog: why".
//
//	static NAME=VALUE ...         server.properties, beside those of tools/kafka
//	create TOPIC NAME=VALUE ...   CreateTopics
//	describe KIND NAME CONFIG ... DescribeConfigs; the broker - is all of them, [] an empty list of configs
//	compare KIND NAME             the same, and this broker's reply is told as what differs
//	alter KIND NAME OP ... | ...  IncrementalAlterConfigs: a=1 -a a+=1 a-=1 a=null, a?=1 for an unknown operation
//	validate KIND NAME OP ...     the same, to be judged only
//	replace KIND NAME a=1 ...     AlterConfigs: these and no others
type scenario struct {
	path   string
	static map[string]string
	steps  []step
}

type step struct {
	text    string // of a paragraph that is no request
	request string
	kafka   string // its reply
	why     string // this broker replies otherwise
	oncelog string
}

// kafkaStatic is what the server.properties of tools/kafka say of configs.
const kafkaStatic = "num.partitions=1 default.replication.factor=1 min.insync.replicas=1 auto.create.topics.enable=true log.retention.hours=168 " +
	"log.segment.bytes=1073741824 log.retention.check.interval.ms=300000 socket.request.max.bytes=104857600 node.id=1 process.roles=broker,controller " +
	"offsets.topic.replication.factor=1 transaction.state.log.replication.factor=1 transaction.state.log.min.isr=1 group.initial.rebalance.delay.ms=0 " +
	"num.network.threads=3 num.io.threads=8 num.recovery.threads.per.data.dir=2 socket.send.buffer.bytes=102400 socket.receive.buffer.bytes=102400 " +
	"share.coordinator.state.topic.replication.factor=1 share.coordinator.state.topic.min.isr=1"

// ownStatic are settings of which the test's broker and Kafka need values of their own.
var ownStatic = []string{"listeners", "log.dirs", "offsets.topic.num.partitions", "transaction.state.log.num.partitions", "advertised.listeners",
	"inter.broker.listener.name", "listener.security.protocol.map", "controller.listener.names", "controller.quorum.voters"}

func readScenario(t *testing.T, path string) *scenario {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{path: path, static: map[string]string{}}
	s.setStatic(kafkaStatic)
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		request, reply, ok := strings.Cut(paragraph, "\n----")
		if !ok {
			s.steps = append(s.steps, step{text: paragraph})
			for line := range strings.Lines(paragraph) {
				if rest, ok := strings.CutPrefix(line, "static "); ok {
					s.setStatic(rest)
				}
			}
			continue
		}
		one := step{request: request}
		one.kafka, one.oncelog, _ = strings.Cut(strings.TrimPrefix(reply, "\n"), "\noncelog: ")
		one.why, one.oncelog, _ = strings.Cut(one.oncelog, "\n")
		s.steps = append(s.steps, one)
	}
	return s
}

func (s *scenario) setStatic(settings string) {
	for pair := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(pair, "=")
		s.static[name] = value
	}
}

func (s *scenario) String() string {
	var b strings.Builder
	for i, one := range s.steps {
		if i > 0 {
			b.WriteString("\n")
		}
		if one.text != "" {
			b.WriteString(one.text + "\n")
			continue
		}
		fmt.Fprintf(&b, "%s\n----\n%s\n", one.request, one.kafka)
		if one.why != "" {
			fmt.Fprintf(&b, "oncelog: %s\n%s\n", one.why, one.oncelog)
		}
	}
	return b.String()
}

// What is answered to requests about configs is what Apache Kafka answered.
func TestConfigScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/configs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scenarios: %v, %v", files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := readScenario(t, path)
			if *recordFrom != "" {
				s.record(t)
				return
			}
			synctest.Test(t, s.check)
		})
	}
}

// record asks Kafka, whose answers replace those of the file.
func (s *scenario) record(t *testing.T) {
	c, err := kgo.NewClient(kgo.SeedBrokers(*recordFrom))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range s.steps {
		if one := &s.steps[i]; one.request != "" {
			one.kafka = perform(t, c, one.request)
			time.Sleep(300 * time.Millisecond) // Kafka answers before its broker has seen the change; this test is a tool here
		}
	}
	if err := os.WriteFile(s.path, []byte(s.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check asks this broker.
func (s *scenario) check(t *testing.T) {
	c := client(t, brokertest.Start(t, brokertest.Options{Properties: s.static}))
	for i := range s.steps {
		one := &s.steps[i]
		if one.request == "" {
			continue
		}
		got, want := perform(t, c, one.request), one.kafka
		if strings.HasPrefix(one.request, "compare ") {
			got, want = differences(one.kafka, got), ""
		}
		if one.why != "" {
			want = one.oncelog
		}
		if got == want {
			continue
		}
		if !*broker.Golden {
			t.Errorf("%s (-want +got)\n%s", one.request, cmp.Diff(want, got))
			continue
		}
		if one.oncelog = got; one.why == "" {
			one.why = "TODO say why"
		}
		if got == one.kafka || got == "" {
			one.why, one.oncelog = "", ""
		}
	}
	if *broker.Golden {
		if err := os.WriteFile(s.path, []byte(s.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// perform makes a request of a scenario and writes down the answer.
func perform(t *testing.T, c *kgo.Client, request string) string {
	t.Helper()
	fields := strings.Fields(request)
	switch fields[0] {
	case "create":
		return createdBy(t, c, fields[1], fields[2:])
	case "describe", "compare":
		return describedBy(t, c, fields[1], fields[2], fields[3:])
	case "alter", "validate":
		return alteredBy(t, c, strings.TrimPrefix(request, fields[0]), fields[0] == "validate")
	case "replace":
		return replacedBy(t, c, fields[1], fields[2], fields[3:])
	}
	t.Fatalf("unknown request: %s", request)
	return ""
}

// differences tells how a description differs from Kafka's: the settings that
// are absent, the lines that are otherwise and those that are added.
func differences(kafka, own string) string {
	byName := map[string]string{}
	for line := range strings.Lines(kafka) {
		name, _, _ := strings.Cut(line, "=")
		byName[name] = strings.TrimSpace(line)
	}
	var lines []string
	for line := range strings.Lines(own) {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(line, "=")
		if slices.Contains(ownStatic, name) {
			delete(byName, name)
			continue
		}
		if there, ok := byName[name]; !ok {
			lines = append(lines, "added "+line)
		} else if there != line {
			lines = append(lines, "other "+line)
		}
		delete(byName, name)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		lines = append(lines, "absent "+name)
	}
	return strings.Join(lines, "\n")
}

func answered[R kmsg.Response](t *testing.T, c *kgo.Client, r kmsg.Request, _ R) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var to interface {
		Request(context.Context, kmsg.Request) (kmsg.Response, error)
	} = c
	if nodes := c.DiscoveredBrokers(); len(nodes) > 0 {
		to = nodes[0] // not split among brokers by the client
	} else if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	} else {
		to = c.DiscoveredBrokers()[0]
	}
	resp, err := to.Request(ctx, r)
	if err != nil {
		t.Fatalf("%T: %v", r, err)
	}
	return resp.(R)
}

// verdict writes an error down as its name and message.
func verdict(code int16, message *string) string {
	if code == 0 {
		return "ok"
	}
	text := "(null)"
	if message != nil {
		text = *message
	}
	return kerr.TypedErrorForCode(code).Message + ": " + text
}

func createdBy(t *testing.T, c *kgo.Client, name string, configs []string) string {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 5000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	for _, pair := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		var value string
		config.Name, value, _ = strings.Cut(pair, "=")
		if value != "null" {
			config.Value = &value
		}
		topic.Configs = append(topic.Configs, config)
	}
	req.Topics = append(req.Topics, topic)
	resp := answered(t, c, req, new(kmsg.CreateTopicsResponse))
	reply := verdict(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage)
	for _, made := range resp.Topics[0].Configs {
		if made.Source == int8(kmsg.ConfigSourceDefaultConfig) {
			continue
		}
		reply += fmt.Sprintf("\n%s=%s %s%s", made.Name, shown(made.Value), kmsg.ConfigSource(made.Source), flags(made.ReadOnly, made.IsSensitive, nil))
	}
	return reply
}

func kindOf(kind string) kmsg.ConfigResourceType {
	switch kind {
	case "topic":
		return kmsg.ConfigResourceTypeTopic
	case "broker":
		return kmsg.ConfigResourceTypeBroker
	}
	return kmsg.ConfigResourceTypeBrokerLogger
}

func shown(value *string) string {
	if value == nil {
		return "(null)"
	}
	return fmt.Sprintf("%q", *value)
}

func flags(readOnly, sensitive bool, documentation *string) (text string) {
	if readOnly {
		text += " read-only"
	}
	if sensitive {
		text += " sensitive"
	}
	if documentation != nil && *documentation == "" {
		text += " empty-doc"
	}
	return text
}

func describedBy(t *testing.T, c *kgo.Client, kind, name string, names []string) string {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.ConfigNames = kindOf(kind), strings.TrimSuffix(name, "-"), names
	switch {
	case len(names) == 0:
		resource.ConfigNames = nil
	case names[0] == "[]":
		resource.ConfigNames = []string{}
	}
	req.Resources = append(req.Resources, resource)
	answer := answered(t, c, req, new(kmsg.DescribeConfigsResponse)).Resources[0]
	lines := []string{}
	if answer.ErrorCode != 0 || len(answer.Configs) == 0 {
		lines = append(lines, verdict(answer.ErrorCode, answer.ErrorMessage))
	}
	slices.SortFunc(answer.Configs, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
	for _, config := range answer.Configs {
		lines = append(lines, describedLine(config))
	}
	return strings.Join(lines, "\n")
}

func describedLine(config kmsg.DescribeConfigsResponseResourceConfig) string {
	line := fmt.Sprintf("%s=%s %s %s%s", config.Name, shown(config.Value), config.Source, config.ConfigType, flags(config.ReadOnly, config.IsSensitive, config.Documentation))
	for _, synonym := range config.ConfigSynonyms {
		line += fmt.Sprintf(" <- %s=%s %s", synonym.Name, shown(synonym.Value), synonym.Source)
	}
	return line
}

// op reads an operation: a=1, -a, a+=1, a-=1, a=null, a?=1.
func op(text string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	if name, ok := strings.CutPrefix(text, "-"); ok {
		config.Name, config.Op = name, kmsg.IncrementalAlterConfigOpDelete
		return config
	}
	name, value, _ := strings.Cut(text, "=")
	config.Name = strings.TrimRight(name, "+-?")
	switch strings.TrimPrefix(name, config.Name) {
	case "+":
		config.Op = kmsg.IncrementalAlterConfigOpAppend
	case "-":
		config.Op = kmsg.IncrementalAlterConfigOpSubtract
	case "?":
		config.Op = 9
	}
	if value != "null" {
		config.Value = &value
	}
	return config
}

func alteredBy(t *testing.T, c *kgo.Client, text string, validateOnly bool) string {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	for part := range strings.SplitSeq(text, "|") {
		fields := strings.Fields(part)
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kindOf(fields[0]), strings.TrimSuffix(fields[1], "-")
		for _, one := range fields[2:] {
			resource.Configs = append(resource.Configs, op(one))
		}
		req.Resources = append(req.Resources, resource)
	}
	var lines []string
	for _, answer := range answered(t, c, req, new(kmsg.IncrementalAlterConfigsResponse)).Resources {
		line := verdict(answer.ErrorCode, answer.ErrorMessage)
		if len(req.Resources) > 1 {
			line = answer.ResourceName + " " + line
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func replacedBy(t *testing.T, c *kgo.Client, kind, name string, configs []string) string {
	t.Helper()
	req := kmsg.NewPtrAlterConfigsRequest()
	resource := kmsg.NewAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kindOf(kind), strings.TrimSuffix(name, "-")
	for _, pair := range configs {
		config := kmsg.NewAlterConfigsRequestResourceConfig()
		var value string
		config.Name, value, _ = strings.Cut(pair, "=")
		if value != "null" {
			config.Value = &value
		}
		resource.Configs = append(resource.Configs, config)
	}
	req.Resources = append(req.Resources, resource)
	answer := answered(t, c, req, new(kmsg.AlterConfigsResponse)).Resources[0]
	return verdict(answer.ErrorCode, answer.ErrorMessage)
}
