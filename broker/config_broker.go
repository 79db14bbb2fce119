package broker

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// settings are the broker's settings in force, parsed. A negative duration or
// size means "no limit".
type settings struct {
	// values holds what was set, static and dynamic, by name; see source.
	static, dynamicDefault, dynamicNode map[string]string

	nodeID, brokerID     int32
	rack                 string
	clusterID            string
	logDirs              []string
	logDir               []string
	listeners            []string
	advertisedListeners  []string
	controllerListeners  []string
	voters               []string
	bootstrapServers     []string
	securityProtocols    string
	autoCreateTopics     bool
	deleteTopics         bool
	numPartitions        int32
	replicationFactor    int16
	minInSyncReplicas    int16
	logRetentionCheck    time.Duration
	cleanerBackoff       time.Duration
	cleanerBuffer        int64
	requestMaxBytes      int32
	queuedMaxBytes       int64
	connectionsMaxIdle   time.Duration
	firstRequestMax      time.Duration
	maxConnections       int32
	maxConnectionsPerIP  int32
	maxPerIPOverrides    string
	fetchMaxBytes        int32
	fetchSessionSlots    int32
	requestTimeout       time.Duration
	replicaLagMax        time.Duration
	leaderRebalance      bool
	imbalanceSeconds     int64
	maxPartitionsPerPage int32

	groupInitialRebalanceDelay             time.Duration
	groupMinSession, groupMaxSession       time.Duration
	groupMaxSize                           int32
	offsetMetadataMaxBytes                 int32
	offsetsRetentionMinutes                int32
	offsetsRetentionCheck, offsetsTimeout  time.Duration
	offsetsPartitions, txnPartitions       int32
	offsetsReplication, txnReplication     int16
	offsetsSegmentBytes, txnSegmentBytes   int32
	txnMinISR                              int16
	txnMaxTimeout, txnIDExpiration         time.Duration
	txnAbortInterval, txnRemoveInterval    time.Duration
	txnVerification                        bool
	producerIDExpiration, producerIDChecks time.Duration

	fsync string
}

// brokerKeys are the broker settings that are honoured, or accepted and
// described, with the defaults of Kafka 4.3.1. In the order of names.
var brokerKeys = newKeyTable([]key[settings]{
	{name: "add.partitions.to.txn.retry.backoff.ms", typ: typeInt, def: "20", check: atLeast(1), doc: "Accepted; a wait for the transaction before is woken, not polled."},
	{name: "advertised.listeners", typ: typeList, def: "auto", bind: func(s *settings) any { return &s.advertisedListeners },
		doc: "The addresses given to clients, as NAME://host:port. With auto a client is told the address it dialled."},
	{name: "authorizer.class.name", typ: typeString, def: "", doc: "Accepted; nothing is authorized yet."},
	{name: "auto.create.topics.enable", typ: typeBoolean, def: "true", bind: func(s *settings) any { return &s.autoCreateTopics },
		doc: "Whether asking for the metadata of a topic creates it."},
	{name: "auto.leader.rebalance.enable", typ: typeBoolean, def: "true", bind: func(s *settings) any { return &s.leaderRebalance },
		doc: "Whether leaderships go back to the preferred replicas by themselves."},
	{name: "background.threads", typ: typeInt, def: "10", dynamic: true, check: atLeast(1), doc: "Accepted; work in the background has no threads of its own."},
	{name: "broker.id", typ: typeInt, def: "-1", bind: func(s *settings) any { return &s.brokerID }, doc: "The older name of node.id."},
	{name: "broker.rack", typ: typeString, null: true, bind: func(s *settings) any { return &s.rack }, doc: "Where this broker stands, as told to clients."},
	{name: "cluster.id", typ: typeString, null: true, bind: func(s *settings) any { return &s.clusterID }, doc: "The id a new cluster is given; empty picks one at random."},
	{name: "compression.gzip.level", typ: typeInt, def: "-1", dynamic: true, check: gzipLevel, doc: "Level used when the broker itself compresses with gzip."},
	{name: "compression.lz4.level", typ: typeInt, def: "9", dynamic: true, check: between(1, 17), doc: "Level used when the broker itself compresses with lz4."},
	{name: "compression.type", typ: typeString, def: "producer", dynamic: true, check: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), doc: "The codec records are stored in, for topics that do not say."},
	{name: "compression.zstd.level", typ: typeInt, def: "3", dynamic: true, check: between(-131072, 22), doc: "Level used when the broker itself compresses with zstd."},
	{name: "connections.max.idle.ms", typ: typeLong, def: "600000", bind: func(s *settings) any { return &s.connectionsMaxIdle },
		doc: "A connection on which nothing was asked for this long is closed; negative is never."},
	{name: "controller.listener.names", typ: typeList, def: "", bind: func(s *settings) any { return &s.controllerListeners }, doc: "The listener on which nodes talk to each other; clients are not served there."},
	{name: "controller.quorum.bootstrap.servers", typ: typeList, def: "", bind: func(s *settings) any { return &s.bootstrapServers }, doc: "Controller listeners of nodes that a node asks to make it known, as host:port, where it is not among controller.quorum.voters."},
	{name: "controller.quorum.voters", typ: typeList, def: "", bind: func(s *settings) any { return &s.voters }, doc: "The nodes that the cluster begins with, as id@host:port of their controller listeners. Empty: this node alone, or see controller.quorum.bootstrap.servers."},
	{name: "default.replication.factor", typ: typeInt, def: "1", check: atLeast(1), bind: func(s *settings) any { return &s.replicationFactor },
		doc: "The replicas of a topic that does not say."},
	{name: "delete.topic.enable", typ: typeBoolean, def: "true", bind: func(s *settings) any { return &s.deleteTopics }, doc: "Whether topics may be deleted."},
	{name: "fetch.max.bytes", typ: typeInt, def: "57671680", check: atLeast(1024), bind: func(s *settings) any { return &s.fetchMaxBytes },
		doc: "The most bytes of records one fetch is given, 8 MiB unless it asks for more as the least; a single batch may be larger."},
	{name: "group.initial.rebalance.delay.ms", typ: typeInt, def: "3000", bind: func(s *settings) any { return &s.groupInitialRebalanceDelay },
		doc: "How long a new group waits for more members before its first generation."},
	{name: "group.max.session.timeout.ms", typ: typeInt, def: "1800000", bind: func(s *settings) any { return &s.groupMaxSession }, doc: "The longest session a member may ask for."},
	{name: "group.max.size", typ: typeInt, def: "1000", check: atLeast(1), bind: func(s *settings) any { return &s.groupMaxSize }, doc: "The most members a group may have. Kafka's default is no limit."},
	{name: "group.min.session.timeout.ms", typ: typeInt, def: "6000", bind: func(s *settings) any { return &s.groupMinSession }, doc: "The shortest session a member may ask for."},
	{name: "inter.broker.listener.name", typ: typeString, null: true, doc: "Accepted; nodes talk over a port of their own."},
	{name: "leader.imbalance.check.interval.seconds", typ: typeLong, def: "300", check: atLeast(1), bind: func(s *settings) any { return &s.imbalanceSeconds },
		doc: "How often the controller looks for leaderships that are not with the preferred replica."},
	{name: "listener.security.protocol.map", typ: typeString, def: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", bind: func(s *settings) any { return &s.securityProtocols },
		doc: "The security protocol of each listener name. PLAINTEXT is the one served."},
	{name: "listeners", typ: typeList, def: "PLAINTEXT://127.0.0.1:9092", bind: func(s *settings) any { return &s.listeners },
		doc: "Where to listen, as NAME://host:port. Port 0 is any free one. Kafka's default is every interface; ours is loopback."},
	{name: "log.cleaner.backoff.ms", typ: typeLong, def: "15000", dynamic: true, check: atLeast(0), bind: func(s *settings) any { return &s.cleanerBackoff }, doc: "How long compaction rests when there was nothing to compact."},
	{name: "log.cleaner.dedupe.buffer.size", typ: typeLong, def: "134217728", dynamic: true, check: atLeast(1 << 20), bind: func(s *settings) any { return &s.cleanerBuffer },
		doc: "The bytes that compaction may hold keys in. With more keys it takes fewer segments at a time, or one segment in several passes."},
	{name: "log.cleaner.delete.retention.ms", typ: typeLong, def: "86400000", dynamic: true, check: atLeast(0), doc: "delete.retention.ms of topics that do not say."},
	{name: "log.cleaner.enable", typ: typeBoolean, def: "true", doc: "Accepted; compaction is always on."},
	{name: "log.cleaner.io.buffer.load.factor", typ: typeDouble, def: "0.9", dynamic: true, doc: "Accepted; see log.cleaner.dedupe.buffer.size."},
	{name: "log.cleaner.io.buffer.size", typ: typeInt, def: "524288", dynamic: true, check: atLeast(0), doc: "Accepted; compaction writes 1 MiB at a time."},
	{name: "log.cleaner.io.max.bytes.per.second", typ: typeDouble, def: "1.7976931348623157E308", dynamic: true, doc: "Accepted; compaction is not throttled."},
	{name: "log.cleaner.max.compaction.lag.ms", typ: typeLong, def: maxLong, dynamic: true, check: atLeast(1), doc: "max.compaction.lag.ms of topics that do not say."},
	{name: "log.cleaner.min.cleanable.ratio", typ: typeDouble, def: "0.5", dynamic: true, check: fraction, doc: "min.cleanable.dirty.ratio of topics that do not say."},
	{name: "log.cleaner.min.compaction.lag.ms", typ: typeLong, def: "0", dynamic: true, check: atLeast(0), doc: "min.compaction.lag.ms of topics that do not say."},
	{name: "log.cleaner.threads", typ: typeInt, def: "1", dynamic: true, check: atLeast(1), doc: "Accepted; one partition is compacted at a time."},
	{name: "log.cleanup.policy", typ: typeList, def: "delete", dynamic: true, check: listOf("compact", "delete"), doc: "cleanup.policy of topics that do not say."},
	{name: "log.dir", typ: typeList, def: "/tmp/kafka-logs", bind: func(s *settings) any { return &s.logDir }, doc: "The older name of log.dirs."},
	{name: "log.dirs", typ: typeList, null: true, bind: func(s *settings) any { return &s.logDirs }, doc: "The folder everything is kept in. One folder is used."},
	{name: "log.flush.interval.messages", typ: typeLong, def: maxLong, dynamic: true, check: atLeast(1), doc: "flush.messages of topics that do not say."},
	{name: "log.flush.interval.ms", typ: typeLong, null: true, dynamic: true, doc: "flush.ms of topics that do not say."},
	{name: "log.flush.scheduler.interval.ms", typ: typeLong, def: maxLong, doc: "flush.ms of topics that do not say, where log.flush.interval.ms does not either."},
	{name: "log.index.interval.bytes", typ: typeInt, def: "4096", dynamic: true, check: atLeast(0), doc: "index.interval.bytes of topics that do not say."},
	{name: "log.index.size.max.bytes", typ: typeInt, def: "10485760", dynamic: true, check: atLeast(4), doc: "segment.index.bytes of topics that do not say."},
	{name: "log.local.retention.bytes", typ: typeLong, def: "-2", dynamic: true, check: atLeast(-2), doc: "Accepted; there is no remote storage."},
	{name: "log.local.retention.ms", typ: typeLong, def: "-2", dynamic: true, check: atLeast(-2), doc: "Accepted; there is no remote storage."},
	{name: "log.message.timestamp.after.max.ms", typ: typeLong, def: "3600000", dynamic: true, check: atLeast(0), doc: "message.timestamp.after.max.ms of topics that do not say."},
	{name: "log.message.timestamp.before.max.ms", typ: typeLong, def: maxLong, dynamic: true, check: atLeast(0), doc: "message.timestamp.before.max.ms of topics that do not say."},
	{name: "log.message.timestamp.type", typ: typeString, def: "CreateTime", dynamic: true, check: oneOf("CreateTime", "LogAppendTime"), doc: "message.timestamp.type of topics that do not say."},
	{name: "log.preallocate", typ: typeBoolean, def: "false", dynamic: true, doc: "preallocate of topics that do not say."},
	{name: "log.retention.bytes", typ: typeLong, def: "-1", dynamic: true, doc: "retention.bytes of topics that do not say."},
	{name: "log.retention.check.interval.ms", typ: typeLong, def: "300000", check: atLeast(1), bind: func(s *settings) any { return &s.logRetentionCheck }, doc: "How often retention is judged."},
	{name: "log.retention.hours", typ: typeInt, def: "168", doc: "retention.ms, in hours, of topics that do not say; weaker than minutes and ms."},
	{name: "log.retention.minutes", typ: typeInt, null: true, doc: "retention.ms, in minutes, of topics that do not say; weaker than ms."},
	{name: "log.retention.ms", typ: typeLong, null: true, dynamic: true, doc: "retention.ms of topics that do not say."},
	{name: "log.roll.hours", typ: typeInt, def: "168", check: atLeast(1), doc: "segment.ms, in hours, of topics that do not say; weaker than ms."},
	{name: "log.roll.jitter.hours", typ: typeInt, def: "0", check: atLeast(0), doc: "segment.jitter.ms, in hours, of topics that do not say."},
	{name: "log.roll.jitter.ms", typ: typeLong, null: true, dynamic: true, doc: "segment.jitter.ms of topics that do not say."},
	{name: "log.roll.ms", typ: typeLong, null: true, dynamic: true, doc: "segment.ms of topics that do not say."},
	{name: "log.segment.bytes", typ: typeInt, def: "1073741824", dynamic: true, check: atLeast(1 << 20), doc: "segment.bytes of topics that do not say."},
	{name: "log.segment.delete.delay.ms", typ: typeLong, def: "60000", dynamic: true, check: atLeast(0), doc: "file.delete.delay.ms of topics that do not say."},
	{name: "max.connection.creation.rate", typ: typeInt, def: "2147483647", dynamic: true, check: atLeast(0), doc: "Accepted; the rate of new connections is not limited."},
	{name: "max.connections", typ: typeInt, def: "10000", dynamic: true, check: atLeast(0), bind: func(s *settings) any { return &s.maxConnections },
		doc: "The most connections held at a time; further ones are closed. Kafka's default is no limit."},
	{name: "max.connections.per.ip", typ: typeInt, def: "1000", dynamic: true, check: atLeast(0), bind: func(s *settings) any { return &s.maxConnectionsPerIP },
		doc: "The most connections from one address; further ones are closed. Kafka's default is no limit."},
	{name: "max.connections.per.ip.overrides", typ: typeString, def: "", dynamic: true, check: perIPLimits, bind: func(s *settings) any { return &s.maxPerIPOverrides }, doc: "Other limits for single addresses, as address:limit."},
	{name: "max.incremental.fetch.session.cache.slots", typ: typeInt, def: "1000", check: atLeast(0), bind: func(s *settings) any { return &s.fetchSessionSlots }, doc: "The most fetch sessions held at a time."},
	{name: "max.request.partition.size.limit", typ: typeInt, def: "2000", check: atLeast(1), bind: func(s *settings) any { return &s.maxPartitionsPerPage }, doc: "The most partitions in one answer of DescribeTopicPartitions."},
	{name: "message.max.bytes", typ: typeInt, def: "1048588", dynamic: true, check: atLeast(0), doc: "max.message.bytes of topics that do not say."},
	{name: "min.insync.replicas", typ: typeInt, def: "1", dynamic: true, check: atLeast(1), bind: func(s *settings) any { return &s.minInSyncReplicas }, doc: "min.insync.replicas of topics that do not say."},
	{name: "node.id", typ: typeInt, null: true, check: atLeast(0), bind: func(s *settings) any { return &s.nodeID }, doc: "The number of this broker in its cluster."},
	{name: "num.io.threads", typ: typeInt, def: "8", dynamic: true, check: atLeast(1), doc: "Accepted; each connection has a goroutine."},
	{name: "num.network.threads", typ: typeInt, def: "3", dynamic: true, check: atLeast(1), doc: "Accepted; each connection has a goroutine."},
	{name: "num.partitions", typ: typeInt, def: "1", check: atLeast(1), bind: func(s *settings) any { return &s.numPartitions }, doc: "The partitions of a topic that does not say."},
	{name: "num.recovery.threads.per.data.dir", typ: typeInt, def: "2", dynamic: true, check: atLeast(1), doc: "Accepted; 64 partitions are opened at a time."},
	{name: "num.replica.fetchers", typ: typeInt, def: "1", dynamic: true, doc: "Accepted; each partition replicates for itself."},
	{name: "offset.metadata.max.bytes", typ: typeInt, def: "4096", bind: func(s *settings) any { return &s.offsetMetadataMaxBytes }, doc: "The longest text that may be committed beside an offset."},
	{name: "offsets.commit.timeout.ms", typ: typeInt, def: "5000", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsTimeout }, doc: "How long an offset commit may wait for its replicas."},
	{name: "offsets.retention.check.interval.ms", typ: typeLong, def: "600000", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsRetentionCheck }, doc: "How often committed offsets are judged for expiry."},
	{name: "offsets.retention.minutes", typ: typeInt, def: "10080", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsRetentionMinutes }, doc: "How long offsets outlive the last member of their group."},
	{name: "offsets.topic.num.partitions", typ: typeInt, def: "50", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsPartitions }, doc: "The partitions of __consumer_offsets; never changed once it exists."},
	{name: "offsets.topic.replication.factor", typ: typeShort, def: "3", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsReplication }, doc: "The replicas of __consumer_offsets; never more than there are brokers."},
	{name: "offsets.topic.segment.bytes", typ: typeInt, def: "104857600", check: atLeast(1), bind: func(s *settings) any { return &s.offsetsSegmentBytes }, doc: "segment.bytes of __consumer_offsets."},
	{name: "oncelog.first.request.max.ms", typ: typeLong, def: "10000", check: atLeast(1), bind: func(s *settings) any { return &s.firstRequestMax },
		doc: "How long a new connection may take to send its first request whole; later ones have connections.max.idle.ms."},
	{name: "oncelog.fsync", typ: typeString, def: "never", check: fsyncPolicy, bind: func(s *settings) any { return &s.fsync },
		doc: "When records are forced to disk before they count: never (as Kafka: the page cache holds them), always, or interval=500ms."},
	{name: "process.roles", typ: typeList, null: true, doc: "Accepted; every node is broker and controller."},
	{name: "producer.id.expiration.check.interval.ms", typ: typeInt, def: "600000", internal: true, check: atLeast(1), bind: func(s *settings) any { return &s.producerIDChecks }, doc: "How often idle producers are forgotten."},
	{name: "producer.id.expiration.ms", typ: typeInt, def: "86400000", dynamic: true, check: atLeast(1), bind: func(s *settings) any { return &s.producerIDExpiration }, doc: "How long a partition remembers a producer that sends nothing."},
	{name: "queued.max.request.bytes", typ: typeLong, def: "536870912", bind: func(s *settings) any { return &s.queuedMaxBytes },
		doc: "The most bytes of requests of more than 64 KiB held at a time; above it the connection whose request has been arriving for longest is closed. -1 is no limit, Kafka's default."},
	{name: "replica.lag.time.max.ms", typ: typeLong, def: "30000", bind: func(s *settings) any { return &s.replicaLagMax }, doc: "How long a replica may lag and still count as in sync."},
	{name: "request.timeout.ms", typ: typeInt, def: "30000", bind: func(s *settings) any { return &s.requestTimeout }, doc: "How long a request between nodes may take."},
	{name: "sasl.enabled.mechanisms", typ: typeList, def: "GSSAPI", dynamic: true, doc: "Accepted; no SASL listener is served yet."},
	{name: "share.coordinator.state.topic.min.isr", typ: typeShort, def: "2", check: atLeast(1), doc: "Accepted; there are no share groups."},
	{name: "share.coordinator.state.topic.replication.factor", typ: typeShort, def: "3", check: atLeast(1), doc: "Accepted; there are no share groups."},
	{name: "socket.receive.buffer.bytes", typ: typeInt, def: "102400", doc: "Accepted; the operating system sizes the buffers of sockets."},
	{name: "socket.request.max.bytes", typ: typeInt, def: "104857600", check: atLeast(1), bind: func(s *settings) any { return &s.requestMaxBytes }, doc: "The largest request accepted; a larger one closes the connection."},
	{name: "socket.send.buffer.bytes", typ: typeInt, def: "102400", doc: "Accepted; the operating system sizes the buffers of sockets."},
	{name: "ssl.key.password", typ: typeSecret, null: true, dynamic: true, sensitive: true, doc: "Accepted; no TLS listener is served yet."},
	{name: "ssl.keystore.location", typ: typeString, null: true, dynamic: true, doc: "Accepted; no TLS listener is served yet."},
	{name: "ssl.keystore.password", typ: typeSecret, null: true, dynamic: true, sensitive: true, doc: "Accepted; no TLS listener is served yet."},
	{name: "ssl.truststore.location", typ: typeString, null: true, dynamic: true, doc: "Accepted; no TLS listener is served yet."},
	{name: "ssl.truststore.password", typ: typeSecret, null: true, dynamic: true, sensitive: true, doc: "Accepted; no TLS listener is served yet."},
	{name: "super.users", typ: typeString, null: true, doc: "Accepted; nothing is authorized yet."},
	{name: "transaction.abort.timed.out.transaction.cleanup.interval.ms", typ: typeInt, def: "1000", check: atLeast(1), bind: func(s *settings) any { return &s.txnAbortInterval },
		doc: "How often transactions are judged for their time-out. Kafka's default is 10 s."},
	{name: "transaction.max.timeout.ms", typ: typeInt, def: "900000", check: atLeast(1), bind: func(s *settings) any { return &s.txnMaxTimeout }, doc: "The longest time-out a transactional producer may ask for."},
	{name: "transaction.partition.verification.enable", typ: typeBoolean, def: "true", dynamic: true, bind: func(s *settings) any { return &s.txnVerification },
		doc: "Whether a transactional append asks the coordinator first (KIP-890)."},
	{name: "transaction.remove.expired.transaction.cleanup.interval.ms", typ: typeInt, def: "3600000", check: atLeast(1), bind: func(s *settings) any { return &s.txnRemoveInterval },
		doc: "How often transactional ids are judged for expiry."},
	{name: "transaction.state.log.min.isr", typ: typeInt, def: "2", check: atLeast(1), bind: func(s *settings) any { return &s.txnMinISR }, doc: "min.insync.replicas of __transaction_state."},
	{name: "transaction.state.log.num.partitions", typ: typeInt, def: "50", check: atLeast(1), bind: func(s *settings) any { return &s.txnPartitions }, doc: "The partitions of __transaction_state; never changed once it exists."},
	{name: "transaction.state.log.replication.factor", typ: typeShort, def: "3", check: atLeast(1), bind: func(s *settings) any { return &s.txnReplication }, doc: "The replicas of __transaction_state; never more than there are brokers."},
	{name: "transaction.state.log.segment.bytes", typ: typeInt, def: "104857600", check: atLeast(1), bind: func(s *settings) any { return &s.txnSegmentBytes }, doc: "segment.bytes of __transaction_state."},
	{name: "transactional.id.expiration.ms", typ: typeInt, def: "604800000", check: atLeast(1), bind: func(s *settings) any { return &s.txnIDExpiration }, doc: "How long a transactional id lives unused."},
	{name: "unclean.leader.election.enable", typ: typeBoolean, def: "false", dynamic: true, doc: "unclean.leader.election.enable of topics that do not say."},
})

// perIPLimits checks a list of address:limit.
func perIPLimits(v any) error {
	for _, entry := range splitList(v.(string)) {
		address, limit, ok := cutLast(entry, ":")
		if n, err := strconv.Atoi(limit); !ok || address == "" || err != nil || n < 0 {
			return refuse(kerr.InvalidConfig, "%q is not of the form address:limit", entry)
		}
	}
	return nil
}

// checkBrokerConfigs judges the values that AlterConfigs would set for this
// broker (one) or for all.
//
// Errors: INVALID_REQUEST, as Kafka answers for brokers. Source: DynamicBrokerConfig.
func checkBrokerConfigs(values map[string]string, s *settings, one bool) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		k := brokerKeys.byName[name]
		if k == nil {
			continue // Kafka keeps settings of plug-ins that it does not know
		}
		if !k.dynamic {
			return refuse(kerr.InvalidRequest, "Cannot update these configs dynamically: [%s]", name)
		}
		if _, err := k.parse(values[name]); err != nil {
			return refuse(kerr.InvalidRequest, "%v", err)
		}
	}
	all, node := s.dynamicDefault, s.dynamicNode
	if one {
		node = values
	} else {
		all = values
	}
	if _, err := newSettings(s.static, all, node); err != nil {
		return refuse(kerr.InvalidRequest, "%v", err)
	}
	return nil
}
