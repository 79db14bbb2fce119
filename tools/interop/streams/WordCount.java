import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Counts words exactly once (processing.guarantee=exactly_once_v2) in a process that is killed three times while the words come in,
 * and compares the counts with those of the input. "count BOOTSTRAP PREFIX STATE" is the process; "drive BOOTSTRAP PREFIX" the rest.
 */
public final class WordCount {
    private static final int PARTITIONS = 2;
    private static final int KILLS = 3;
    private static final int WORDS = 300;

    private final String bootstrap;
    private final String prefix;

    private WordCount(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
    }

    public static void main(String[] args) throws Exception {
        var w = new WordCount(args[1], args[2]);
        if (args[0].equals("count")) w.count(args[3]); else w.drive();
    }

    private String lines() {
        return prefix + "-lines";
    }

    private String counts() {
        return prefix + "-counts";
    }

    private String changelog() {
        return prefix + "-app-counts-changelog";
    }

    private String repartition() {
        return prefix + "-app-counts-repartition";
    }

    /** The process that is killed. Its session ends soon, so that the next one need not wait for it. */
    private void count(String state) {
        var builder = new StreamsBuilder();
        KStream<String, String> lines = builder.stream(lines());
        lines.flatMapValues(line -> List.of(line.split(" "))).groupBy((key, word) -> word)
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
            .toStream().to(counts(), Produced.with(Serdes.String(), Serdes.Long()));
        var config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "-app");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.STATE_DIR_CONFIG, state);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
        config.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 500);
        config.put(StreamsConfig.producerPrefix("linger.ms"), 0); // nor does a producer hold it back
        config.put("repartition.purge.interval.ms", 2000); // so that DeleteRecords is met
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // each count goes out at once, not only when a transaction ends
        var streams = new KafkaStreams(builder.build(), config);
        streams.setStateListener((now, before) -> System.out.println(now));
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private void drive() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
            var topics = List.of(lines(), counts());
            admin.createTopics(topics.stream().map(t -> new NewTopic(t, Optional.of(PARTITIONS), Optional.empty())).collect(Collectors.toList())).all().get();
            for (String t : topics) admin.listOffsets(partitions(t).stream().collect(Collectors.toMap(p -> p, p -> OffsetSpec.latest()))).all().get();
            drive(admin, new Random(seed));
        }
    }

    private void drive(Admin admin, Random random) throws Exception {
        Path state = Files.createTempDirectory("wordcount");
        var want = new TreeMap<String, Long>();
        int open = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            try (var app = start(state)) {
                int millis = 500 + random.nextInt(3500);
                CompletableFuture.delayedExecutor(millis, TimeUnit.MILLISECONDS).execute(app.process::destroyForcibly); // while words come in
                produce(random, want, app.process::isAlive);
            }
            long ongoing = ongoing(admin);
            open += ongoing > 0 ? 1 : 0;
            System.out.println("killed after " + sum(want) + " words with " + ongoing + " open transactions");
        }
        try (var app = start(state)) {
            long end = System.nanoTime() + Duration.ofSeconds(2).toNanos();
            produce(random, want, () -> System.nanoTime() < end);
            check(want);
            app.process.destroy();
            require(app.process.waitFor(30, TimeUnit.SECONDS), "the process does not close");
        }
        require(open > 0, "no kill met an open transaction");
        delete(state);
    }

    private long ongoing(Admin admin) throws Exception {
        var options = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING));
        for (int tries = 1; ; tries++) {
            try {
                return admin.listTransactions(options).all().get().stream().filter(t -> t.transactionalId().startsWith(prefix)).count();
            } catch (ExecutionException e) { // AllBrokersStrategy of 4.3.1 does not survive a broker that goes while it is asked
                if (tries == 50) throw e;
                Thread.sleep(200);
            }
        }
    }

    /** A process that counts; closing kills it. */
    private record App(Process process) implements AutoCloseable {
        @Override public void close() throws IOException {
            process.destroyForcibly();
            process.onExit().join();
        }
    }

    /** Starts the process and waits until it runs. */
    private App start(Path state) throws IOException {
        var command = new ArrayList<String>();
        ProcessHandle.current().info().command().ifPresent(command::add);
        command.addAll(java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "WordCount", "count", bootstrap, prefix, state.toString()));
        long began = System.nanoTime();
        var process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly)); // if this one is stopped
        var out = process.inputReader();
        for (String line = out.readLine(); !"RUNNING".equals(line); line = out.readLine()) {
            require(line != null, "the process ended before it ran");
        }
        System.out.printf("running after %.1f s%n", (System.nanoTime() - began) / 1e9);
        return new App(process);
    }

    /** Writes lines of random words, a hundred at a time, each hundred acknowledged before it asks whether to write more. */
    private void produce(Random random, Map<String, Long> want, BooleanSupplier more) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "linger.ms", 20);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            do {
                for (int i = 0; i < 100; i++) {
                    String line = random.ints(1 + random.nextInt(5), 0, WORDS).mapToObj(w -> "word" + w).collect(Collectors.joining(" "));
                    for (String word : line.split(" ")) want.merge(word, 1L, Long::sum);
                    producer.send(new ProducerRecord<>(lines(), random.nextInt(PARTITIONS), null, line));
                }
                producer.flush();
            } while (more.getAsBoolean());
        }
    }

    /** Waits until the committed counts are as many as the words written, and compares output and changelog with the input. */
    private void check(Map<String, Long> want) {
        long deadline = System.nanoTime() + Duration.ofSeconds(90).toNanos();
        var output = new Counts(counts());
        while (sum(output.last) < sum(want)) {
            require(System.nanoTime() < deadline, "counted " + sum(output.last) + " of " + sum(want) + " words after 90 s");
            output.read();
        }
        output.read();
        same("counts", want, output.last);
        var changelog = new Counts(changelog());
        changelog.read();
        same("changelog", want, changelog.last);
        long purged;
        try (var consumer = consumer()) {
            purged = consumer.beginningOffsets(partitions(repartition())).values().stream().mapToLong(Long::longValue).sum();
        }
        System.out.printf("%d words, %d distinct, counted exactly in %d committed records%n", sum(want), want.size(), output.records);
        System.out.printf("the changelog agrees with %d records; %d offsets of the repartition topic were purged%n", changelog.records, purged);
        require(purged > 0, "want records of the repartition topic purged");
    }

    /** The last committed count of each word that a topic tells, read to the end at each call. Counts never fall. */
    private final class Counts {
        final Map<String, Long> last = new TreeMap<>();
        final Map<TopicPartition, Long> position = new TreeMap<>((a, b) -> Integer.compare(a.partition(), b.partition()));
        final String topic;
        int records;

        Counts(String topic) {
            this.topic = topic;
        }

        void read() {
            try (var consumer = consumer()) {
                var all = partitions(topic);
                consumer.assign(all);
                for (var p : all) consumer.seek(p, position.getOrDefault(p, 0L));
                var ends = consumer.endOffsets(all);
                while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                    for (var r : consumer.poll(Duration.ofMillis(100))) {
                        Long before = last.put(r.key(), r.value());
                        require(before == null || before <= r.value(), topic + " offset " + r.offset() + ": " + r.key() + " fell from " + before + " to " + r.value());
                        records++;
                    }
                }
                for (var p : all) position.put(p, consumer.position(p));
            }
        }
    }

    private KafkaConsumer<String, Long> consumer() {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed", "auto.offset.reset", "earliest");
        return new KafkaConsumer<>(config, new StringDeserializer(), new LongDeserializer());
    }

    private static List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).collect(Collectors.toList());
    }

    private static long sum(Map<String, Long> counts) {
        return counts.values().stream().mapToLong(Long::longValue).sum();
    }

    private static void same(String what, Map<String, Long> want, Map<String, Long> got) {
        if (want.equals(got)) return;
        var wrong = want.keySet().stream().filter(w -> !want.get(w).equals(got.get(w))).limit(10)
            .map(w -> w + ": want " + want.get(w) + ", got " + got.get(w)).collect(Collectors.joining("; "));
        throw new AssertionError(what + ": " + wrong + (want.size() < got.size() ? "; words that were never written" : ""));
    }

    private static void require(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    private static void delete(Path folder) throws IOException {
        try (var paths = Files.walk(folder)) {
            paths.sorted(java.util.Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }
}
