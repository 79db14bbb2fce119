package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magiconair/properties"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Config is all that Open needs. Its zero value is a durable broker with
// Kafka's defaults, on 127.0.0.1:9092, over the operating system's files.
type Config struct {
	// Properties are settings by Kafka's names, as in server.properties. What is
	// absent has its default; names the broker does not know are warned of.
	Properties map[string]string

	// Features are the finalized levels of features that differ from the
	// newest: transaction.version 0, 1 or 2.
	Features map[string]int16

	// APIMax caps the highest version offered of an API key.
	APIMax map[int16]int16

	// FS holds everything on disk. nil: vfs.OS.
	FS vfs.FS

	// Listen opens a listener and Dial a connection. nil: those of package net.
	Listen func(network, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger is told of changes of state. nil: nothing is logged.
	Logger *slog.Logger

	// AdvertisedHost and AdvertisedPort, where not zero, replace the host and
	// the port that advertised.listeners=auto would tell.
	AdvertisedHost string
	AdvertisedPort int32
}

// ReadProperties reads a server.properties file. Values are taken as they
// stand: ${...} is text, as Kafka leaves it without a config provider.
func ReadProperties(r io.Reader) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadReader(r)
	if err != nil {
		return nil, fmt.Errorf("read properties: %w", err)
	}
	return p.Map(), nil
}

// notSettings are variables of Kafka's start scripts, which are no settings.
var notSettings = []string{
	"KAFKA_VERSION", "KAFKA_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS", "KAFKA_JMX_OPTS", "KAFKA_JMX_PORT",
	"KAFKA_JMX_HOSTNAME", "KAFKA_LOG4J_OPTS", "KAFKA_LOG4J_ROOT_LOGLEVEL", "KAFKA_LOG4J_LOGGERS", "KAFKA_TOOLS_LOG4J_LOGLEVEL", "KAFKA_DEBUG", "KAFKA_HOME",
}

// EnvProperties picks settings out of environment variables (NAME=value), by
// the rule of Kafka's container image: KAFKA_ is cut off, _ is a dot, __ an
// underscore, ___ a dash.
func EnvProperties(environ []string) map[string]string {
	found := map[string]string{}
	unescape := strings.NewReplacer("___", "-", "__", "_", "_", ".")
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		rest, ok := strings.CutPrefix(name, "KAFKA_")
		if !ok || rest == "" || slices.Contains(notSettings, name) {
			continue
		}
		found[strings.ToLower(unescape.Replace(rest))] = value
	}
	return found
}

// newSettings parses what was set: statically, then by AlterConfigs for all
// brokers and for this one. Names without a row in the table are ignored.
func newSettings(static, dynamicDefault, dynamicNode map[string]string) (*settings, error) {
	static = withBothIDs(static)
	s := &settings{static: static, dynamicDefault: dynamicDefault, dynamicNode: dynamicNode}
	values := maps.Clone(static)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, dynamicDefault)
	maps.Copy(values, dynamicNode)
	s.nodeID = -1
	if err := brokerKeys.fill(s, values); err != nil {
		return nil, err
	}
	if s.nodeID < 0 {
		s.nodeID = s.brokerID
	}
	if s.nodeID < 0 {
		s.nodeID = 1
	}
	if len(s.logDirs) == 0 {
		s.logDirs = s.logDir
	}
	_, err := resolveTopic(nil, s)
	return s, err
}

// withBothIDs gives node.id the value of broker.id, its older name, and the other
// way round, where only one is set. Source: AbstractKafkaConfig.populateSynonyms.
func withBothIDs(static map[string]string) map[string]string {
	const older, newer = "broker.id", "node.id"
	was, hasOlder := static[older]
	is, hasNewer := static[newer]
	if hasOlder == hasNewer {
		return static
	}
	both := maps.Clone(static)
	if hasNewer {
		both[older] = is
	} else {
		both[newer] = was
	}
	return both
}

// unknownNames lists the settings that have no row, in order.
func unknownNames(static map[string]string) []string {
	var unknown []string
	for name := range static {
		if brokerKeys.byName[name] == nil {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// set finds the value in force of a broker setting that was set, and by whom.
func (s *settings) set(name string) (value string, source kmsg.ConfigSource, ok bool) {
	for _, layer := range s.layers() {
		if value, ok := layer.values[name]; ok {
			return value, layer.source, true
		}
	}
	return "", kmsg.ConfigSourceDefaultConfig, false
}

type configLayer struct {
	values map[string]string
	source kmsg.ConfigSource
}

// layers lists where a broker setting may be set, strongest first.
func (s *settings) layers() []configLayer {
	return []configLayer{
		{s.dynamicNode, kmsg.ConfigSourceDynamicBrokerConfig},
		{s.dynamicDefault, kmsg.ConfigSourceDynamicDefaultBrokerConfig},
		{s.static, kmsg.ConfigSourceStaticBrokerConfig},
	}
}

// topicDefault finds what a topic without a config of its own takes from the
// broker's settings; false means the key's default.
func (s *settings) topicDefault(k *key[topicSettings]) (value string, source kmsg.ConfigSource, ok bool) {
	for _, synonym := range k.synonyms {
		if value, source, ok := s.set(synonym.name); ok {
			return synonym.convert(value), source, true
		}
	}
	return "", kmsg.ConfigSourceDefaultConfig, false
}

// convert brings a value into the unit of the topic setting.
func (s synonym) convert(value string) string {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if s.scale == 0 || err != nil {
		return value
	}
	if n < 0 {
		return "-1"
	}
	return strconv.FormatInt(n*s.scale, 10)
}

// A listener is one entry of listeners or advertised.listeners.
type listener struct {
	name string
	host string // empty: every interface
	port int
}

func (l listener) address() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

// parseListener reads NAME://host:port, where an IPv6 host is in brackets.
func parseListener(text string) (listener, error) {
	name, address, ok := strings.Cut(text, "://")
	if !ok || name == "" {
		return listener{}, fmt.Errorf("listener %q is not of the form NAME://host:port", text)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return listener{}, fmt.Errorf("listener %q: %w", text, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return listener{}, fmt.Errorf("listener %q: port: %w", text, err)
	}
	return listener{name: strings.ToUpper(name), host: host, port: int(port)}, nil
}

// listenerPlan is where to listen and what to tell clients of it.
type listenerPlan struct {
	listen     []listener
	controller *listener           // where other nodes connect; nil: nowhere
	voters     []voter             // the nodes that the cluster begins with
	bootstrap  []string            // nodes that make this one known to the cluster
	several    bool                // there are other nodes, or may be
	advertised map[string]listener // by name; absent: auto
}

// plan checks listeners, advertised.listeners and the protocol map together.
func (s *settings) plan() (listenerPlan, error) {
	p := listenerPlan{advertised: map[string]listener{}}
	for _, text := range s.listeners {
		l, err := parseListener(text)
		if err != nil {
			return p, fmt.Errorf("listeners: %w", err)
		}
		if slices.Contains(s.controllerListeners, l.name) {
			p.controller = &l
			continue
		}
		if protocol := s.protocolOf(l.name); protocol != "PLAINTEXT" {
			return p, fmt.Errorf("listeners: %s has the security protocol %q; only PLAINTEXT is served", l.name, protocol)
		}
		p.listen = append(p.listen, l)
	}
	if len(p.listen) == 0 {
		return p, errors.New("listeners: nothing to listen on")
	}
	if err := p.joinNodes(s); err != nil {
		return p, err
	}
	for _, text := range s.advertisedListeners {
		if text == "auto" {
			continue
		}
		l, err := parseListener(text)
		if err != nil {
			return p, fmt.Errorf("advertised.listeners: %w", err)
		}
		if l.host == "" || l.host == "0.0.0.0" || l.host == "::" {
			return p, fmt.Errorf("advertised.listeners: %s names no host a client could dial", text)
		}
		p.advertised[l.name] = l
	}
	return p, nil
}

// protocolOf gives the security protocol of a listener name, or "".
func (s *settings) protocolOf(name string) string {
	for _, entry := range splitList(s.securityProtocols) {
		if n, protocol, ok := strings.Cut(entry, ":"); ok && strings.EqualFold(n, name) {
			return strings.ToUpper(protocol)
		}
	}
	return ""
}

// fsyncPolicy checks never, always or interval=DURATION.
func fsyncPolicy(v any) error {
	text, ok := strings.CutPrefix(v.(string), "interval=")
	if !ok {
		return oneOf("never", "always", "interval=DURATION")(v)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	if d <= 0 {
		return errors.New("the interval must be positive")
	}
	return nil
}
