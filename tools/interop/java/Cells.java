import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What the cells share: one line a cell, clients with text or bytes, topics, and reading a topic to its end. */
final class Cells {
    static final Duration POLL = Duration.ofMillis(20);

    final String bootstrap;
    final String prefix;

    Cells(String[] args) {
        if (args.length != 2) throw new IllegalArgumentException("want BOOTSTRAP PREFIX, got " + args.length + " arguments");
        bootstrap = args[0];
        prefix = args[1];
    }

    /** Runs one cell and prints its line; the call returns the detail, and whatever it throws is the failure. */
    static void cell(String name, Callable<String> call) {
        String outcome = "ok";
        String detail;
        try {
            detail = call.call();
        } catch (Exception | AssertionError e) {
            outcome = "fail";
            detail = e.toString().replaceAll("\\s+", " ");
            e.printStackTrace();
        }
        System.out.println(name + "\t" + outcome + "\t" + detail);
    }

    static void same(String what, Object want, Object got) {
        if (!want.equals(got)) throw new AssertionError(what + ": want " + want + ", got " + got);
    }

    static void check(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    /** A bound on a wait: 60 seconds from its making. */
    static final class Deadline {
        private final long at = System.nanoTime() + Duration.ofSeconds(60).toNanos();

        boolean late() {
            return System.nanoTime() >= at;
        }

        void check(String what) {
            Cells.check(!late(), "waited 60 s for " + what);
        }
    }

    Map<String, Object> config(Object... pairs) {
        Map<String, Object> m = new HashMap<>();
        m.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) m.put((String) pairs[i], pairs[i + 1]);
        return m;
    }

    KafkaProducer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(config(pairs), new StringSerializer(), new StringSerializer());
    }

    KafkaProducer<byte[], byte[]> bytesProducer(Object... pairs) {
        return new KafkaProducer<>(config(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<String, String> consumer(Object... pairs) {
        return new KafkaConsumer<>(config(pairs), new StringDeserializer(), new StringDeserializer());
    }

    /**
     * Makes a topic and returns its whole name, once each leader answers: Kafka tells of a topic before its leaders are ready, and there
     * a producer whose first batch is refused for that and whose second is taken can never send the first (OUT_OF_ORDER_SEQUENCE_NUMBER).
     */
    String topic(String name, int partitions) throws Exception {
        String topic = prefix + "-" + name;
        try (Admin admin = Admin.create(config())) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
            awaitTopic(admin, topic);
            admin.listOffsets(partitions(topic, partitions).stream().collect(Collectors.toMap(tp -> tp, tp -> OffsetSpec.latest()))).all().get();
        }
        return topic;
    }

    /** Kafka answers a creation before its metadata shows the topic. */
    static void awaitTopic(Admin admin, String topic) throws Exception {
        for (var deadline = new Deadline(); ; deadline.check("topic " + topic + " in the metadata")) {
            try {
                admin.describeTopics(List.of(topic)).allTopicNames().get();
                return;
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof UnknownTopicOrPartitionException)) throw e;
            }
        }
    }

    static List<TopicPartition> partitions(String topic, int n) {
        return IntStream.range(0, n).mapToObj(p -> new TopicPartition(topic, p)).collect(Collectors.toList());
    }

    /** All records of the partitions from their beginning to the end this isolation level sees. */
    List<List<ConsumerRecord<byte[], byte[]>>> readBytes(String topic, int partitions, String isolation) {
        var read = new ArrayList<List<ConsumerRecord<byte[], byte[]>>>();
        for (int i = 0; i < partitions; i++) read.add(new ArrayList<>());
        var config = config("isolation.level", isolation, "auto.offset.reset", "none");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var all = partitions(topic, partitions);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            var ends = consumer.endOffsets(all);
            var deadline = new Deadline();
            while (all.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp))) {
                deadline.check("the ends " + ends + " of a read with " + isolation);
                for (var r : consumer.poll(POLL)) read.get(r.partition()).add(r);
            }
        }
        return read;
    }

    /** As readBytes, of one partition's text, each record as offset=value. */
    List<String> read(String topic, int partitions, int partition, String isolation) {
        return readBytes(topic, partitions, isolation).get(partition).stream()
            .map(r -> r.offset() + "=" + new String(r.value())).collect(Collectors.toList());
    }
}
