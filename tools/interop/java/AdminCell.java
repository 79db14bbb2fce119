import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The cell admin: each call of AdminClient that a tool makes, its answer looked at down to the parts a null would break. */
public final class AdminCell {
    private final Cells c;
    private final Admin admin;
    private final List<String> unserved = new ArrayList<>();
    private int calls;
    private String topic;
    private TopicPartition tp;
    private String group;

    private AdminCell(Cells c) {
        this.c = c;
        admin = Admin.create(c.config());
    }

    public static void main(String[] args) {
        var cells = new Cells(args);
        Cells.cell("admin", () -> {
            var cell = new AdminCell(cells);
            try (cell.admin) {
                return cell.run();
            }
        });
    }

    private String run() throws Exception {
        topic = c.topic("admin", 2);
        tp = new TopicPartition(topic, 0);
        group = c.prefix + "-admin";
        topics();
        configs();
        records();
        groups();
        transactions();
        cluster();
        deletion();
        return calls + " calls answered; not served: " + (unserved.isEmpty() ? "none" : String.join(" ", unserved));
    }

    private interface Call<T> {
        T get() throws Exception;
    }

    /** A call whose name stands before its failure. */
    private <T> T call(String name, Call<T> call) {
        calls++;
        try {
            return call.get();
        } catch (Exception | AssertionError e) {
            throw new AssertionError(name + ": " + (e instanceof ExecutionException ? e.getCause() : e), e);
        }
    }

    /** A call that looks at a change just made: Kafka tells of a change before all its answers show it, so it is asked again until they do. */
    private void settled(String name, Call<?> call) {
        for (var deadline = new Cells.Deadline(); ; ) {
            try {
                call(name, call);
                return;
            } catch (AssertionError e) {
                calls--;
                if (deadline.late()) throw e;
            }
        }
    }

    private void refused(String name, Class<?> want, Call<?> call) {
        calls++;
        try {
            Object got = call.get();
            throw new AssertionError(name + ": want " + want.getSimpleName() + ", got " + got);
        } catch (Exception e) {
            Cells.same(name, want, (e instanceof ExecutionException ? e.getCause() : e).getClass());
        }
    }

    /** A call whose API a broker need not serve; the client must say so by itself. */
    private void optional(String name, Call<?> call) {
        try {
            call.get();
            calls++;
        } catch (Exception e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            if (!(cause instanceof UnsupportedVersionException)) throw new AssertionError(name + ": " + cause, e);
            unserved.add(name);
        }
    }

    private void topics() {
        String other = topic + "-2";
        call("createTopics", () -> {
            var created = admin.createTopics(List.of(new NewTopic(other, 3, (short) 1).configs(Map.of("retention.ms", "3600000"))));
            Cells.same("numPartitions", 3, created.numPartitions(other).get());
            Cells.same("replicationFactor", 1, created.replicationFactor(other).get());
            Cells.check(!created.topicId(other).get().equals(Uuid.ZERO_UUID), "want a topic id");
            Config config = created.config(other).get();
            Cells.same("retention.ms", "3600000", config.get("retention.ms").value());
            Cells.same("source of retention.ms", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source());
            Cells.same("source of cleanup.policy", ConfigEntry.ConfigSource.DEFAULT_CONFIG, config.get("cleanup.policy").source());
            return null;
        });
        refused("createTopics of one that is there", TopicExistsException.class,
            () -> admin.createTopics(List.of(new NewTopic(other, 3, (short) 1))).all().get());
        refused("createTopics with a bad name", InvalidTopicException.class,
            () -> admin.createTopics(List.of(new NewTopic("a/b", 1, (short) 1))).all().get());
        call("createTopics with defaults", () -> {
            var created = admin.createTopics(List.of(new NewTopic(topic + "-3", Optional.empty(), Optional.empty())));
            Cells.check(created.numPartitions(topic + "-3").get() > 0, "want partitions");
            return created.all().get();
        });
        settled("listTopics", () -> {
            Cells.check(admin.listTopics().names().get().containsAll(Set.of(topic, other)), "want the topics just made");
            return null;
        });
        call("createPartitions", () -> admin.createPartitions(Map.of(other, NewPartitions.increaseTo(5))).all().get());
        settled("describeTopics", () -> {
            var d = admin.describeTopics(List.of(other)).allTopicNames().get().get(other);
            Cells.same("partitions of " + other, 5, d.partitions().size());
            for (TopicPartitionInfo p : d.partitions()) {
                Cells.same("replicas and in-sync replicas", p.replicas(), p.isr());
                Cells.check(p.leader() != null && p.replicas().contains(p.leader()), "want a leader among the replicas, got " + p);
            }
            return admin.describeTopics(TopicCollection.ofTopicIds(List.of(d.topicId()))).allTopicIds().get();
        });
        refused("describeTopics of one that is not there", UnknownTopicOrPartitionException.class,
            () -> admin.describeTopics(List.of(topic + "-absent")).allTopicNames().get());
    }

    private void configs() {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        call("incrementalAlterConfigs", () -> admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000000"), OpType.SET),
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), OpType.APPEND)))).all().get());
        settled("describeConfigs of a topic", () -> {
            Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            Cells.same("max.message.bytes", "2000000", config.get("max.message.bytes").value());
            Cells.same("cleanup.policy", "delete,compact", config.get("cleanup.policy").value());
            for (ConfigEntry e : config.entries()) Cells.check(e.value() != null && e.type() != null && e.synonyms() != null, "a null in " + e);
            return null;
        });
        call("incrementalAlterConfigs back", () -> admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("max.message.bytes", ""), OpType.DELETE),
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), OpType.SUBTRACT)))).all().get());
        call("describeConfigs of a broker", () -> {
            var id = admin.describeCluster().nodes().get().iterator().next().idString();
            var broker = new ConfigResource(ConfigResource.Type.BROKER, id);
            Config config = admin.describeConfigs(List.of(broker)).all().get().get(broker);
            for (String name : List.of("log.retention.ms", "node.id", "message.max.bytes", "transaction.max.timeout.ms")) {
                Cells.check(config.get(name) != null && config.get(name).type() != null, "want " + name + " of broker " + id);
            }
            return null;
        });
    }

    private void records() {
        call("produce", () -> {
            try (var producer = c.producer()) {
                for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(topic, 0, 1000L * (10 - i), null, "v" + i)).get();
            }
            return null;
        });
        offset("latest", OffsetSpec.latest(), 10);
        offset("earliest", OffsetSpec.earliest(), 0);
        offset("forTimestamp", OffsetSpec.forTimestamp(9_500), 0);
        offset("forTimestamp after the last", OffsetSpec.forTimestamp(20_000), -1);
        offset("maxTimestamp", OffsetSpec.maxTimestamp(), 0);
        offset("earliestLocal", OffsetSpec.earliestLocal(), 0);
        offset("latestTiered", OffsetSpec.latestTiered(), -1);
        call("deleteRecords", () -> {
            var deleted = admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(4)));
            Cells.same("low watermark", 4L, deleted.lowWatermarks().get(tp).get().lowWatermark());
            return null;
        });
        offset("earliest after deleteRecords", OffsetSpec.earliest(), 4);
    }

    private void offset(String name, OffsetSpec spec, long want) {
        call("listOffsets " + name, () -> {
            Cells.same("offset", want, admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get().offset());
            return null;
        });
    }

    private void groups() {
        try (KafkaConsumer<String, String> consumer = c.consumer("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false)) {
            consumer.subscribe(List.of(topic));
            for (var deadline = new Cells.Deadline(); consumer.poll(Cells.POLL).isEmpty(); ) deadline.check("the first records of a group");
            consumer.commitSync();
            call("describeConsumerGroups", () -> {
                var d = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                Cells.same("state", "Stable", d.groupState().toString());
                Cells.same("assigned", Set.copyOf(Cells.partitions(topic, 2)), d.members().iterator().next().assignment().topicPartitions());
                Cells.check(d.coordinator() != null && d.partitionAssignor() != null, "a null in " + d);
                return null;
            });
            call("describeClassicGroups", () -> admin.describeClassicGroups(List.of(group)).all().get());
        }
        call("listGroups", () -> {
            var listed = admin.listGroups().all().get().stream().filter(g -> g.groupId().equals(group)).collect(Collectors.toList());
            Cells.same("groups of this name", 1, listed.size());
            Cells.same("type", "Classic", listed.get(0).type().orElseThrow().toString());
            Cells.same("protocol", "consumer", listed.get(0).protocol());
            return null;
        });
        consumerGroupList();
        call("alterConsumerGroupOffsets", () -> admin.alterConsumerGroupOffsets(group, Map.of(
            tp, new OffsetAndMetadata(5, "here"), new TopicPartition(topic, 1), new OffsetAndMetadata(0))).all().get());
        call("listConsumerGroupOffsets", () -> {
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            Cells.same("offset", 5L, offsets.get(tp).offset());
            Cells.same("metadata", "here", offsets.get(tp).metadata());
            return null;
        });
        call("deleteConsumerGroupOffsets", () -> admin.deleteConsumerGroupOffsets(group, Set.of(tp)).all().get());
        settled("listConsumerGroupOffsets after", () -> {
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            Cells.same("partitions with an offset", Set.of(new TopicPartition(topic, 1)), offsets.keySet());
            return null;
        });
        call("deleteConsumerGroups", () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        refused("describeConsumerGroups of one that is gone", GroupIdNotFoundException.class,
            () -> admin.describeConsumerGroups(List.of(group)).all().get());
        refused("deleteConsumerGroups of one that is gone", GroupIdNotFoundException.class,
            () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    }

    @SuppressWarnings({"deprecation", "removal"}) // what tools built before 4.1 call
    private void consumerGroupList() {
        call("listConsumerGroups", () -> {
            Cells.check(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)), "want " + group);
            return null;
        });
    }

    private void transactions() {
        String id = c.prefix + "-admin-txn";
        try (KafkaProducer<String, String> producer = c.producer("transactional.id", id)) {
            begin(producer);
            var states = admin.describeProducers(List.of(tp));
            var state = call("describeProducers", () -> states.partitionResult(tp).get().activeProducers().stream()
                .filter(p -> p.currentTransactionStartOffset().isPresent()).findFirst().orElseThrow());
            Cells.same("start of the transaction", 10L, state.currentTransactionStartOffset().getAsLong());
            call("describeTransactions", () -> {
                var d = admin.describeTransactions(List.of(id)).description(id).get();
                Cells.same("state", TransactionState.ONGOING, d.state());
                Cells.same("partitions", Set.of(tp), d.topicPartitions());
                Cells.same("producer id", state.producerId(), d.producerId());
                return null;
            });
            settled("listTransactions", () -> {
                var listed = admin.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all().get();
                Cells.check(listed.stream().anyMatch(t -> t.transactionalId().equals(id)), "want " + id + " among " + listed);
                return admin.listTransactions().allByBrokerId().get();
            });
            optional("abortTransaction", () -> admin.abortTransaction(
                new AbortTransactionSpec(tp, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(-1))).all().get());
            call("fenceProducers", () -> {
                var fenced = admin.fenceProducers(List.of(id));
                Cells.same("producer id", state.producerId(), fenced.producerId(id).get());
                return null;
            });
            refused("commit of a fenced producer", ProducerFencedException.class, () -> {
                producer.commitTransaction();
                return null;
            });
        }
        try (KafkaProducer<String, String> producer = c.producer("transactional.id", id)) {
            begin(producer);
            call("forceTerminateTransaction", () -> admin.forceTerminateTransaction(id).result().get());
            settled("describeTransactions after", () -> {
                var state = admin.describeTransactions(List.of(id)).description(id).get().state();
                Cells.check(state == TransactionState.COMPLETE_ABORT || state == TransactionState.PREPARE_ABORT || state == TransactionState.EMPTY, "got " + state);
                return null;
            });
        }
    }

    private void begin(KafkaProducer<String, String> producer) {
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, null, "open"));
        producer.flush();
    }

    private void cluster() {
        call("describeCluster", () -> {
            var d = admin.describeCluster();
            Cells.check(d.clusterId().get() != null && d.controller().get() != null && !d.nodes().get().isEmpty(), "want an id, a controller and nodes");
            return d.authorizedOperations().get();
        });
        call("describeFeatures", () -> {
            var features = admin.describeFeatures().featureMetadata().get();
            Cells.check(features.finalizedFeatures().containsKey("transaction.version"), "want transaction.version among " + features);
            return null;
        });
        var id = call("describeCluster nodes", () -> admin.describeCluster().nodes().get().iterator().next().id());
        optional("describeLogDirs", () -> admin.describeLogDirs(List.of(id)).allDescriptions().get());
        optional("describeMetadataQuorum", () -> admin.describeMetadataQuorum().quorumInfo().get());
        optional("listPartitionReassignments", () -> admin.listPartitionReassignments().reassignments().get());
        optional("describeClientQuotas", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        optional("listConfigResources", () -> admin.listConfigResources().all().get());
    }

    private void deletion() {
        var all = Stream.of("", "-2", "-3").map(s -> topic + s).collect(Collectors.toList());
        call("deleteTopics", () -> admin.deleteTopics(all).all().get());
        refused("deleteTopics of one that is gone", UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
        settled("listTopics after", () -> {
            Cells.check(admin.listTopics().names().get().stream().noneMatch(all::contains), "want none of " + all);
            return null;
        });
    }
}
