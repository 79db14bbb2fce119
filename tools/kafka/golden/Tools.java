import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs a file of steps in one JVM, each a command line of Kafka's own tools, and writes what each printed and how it ended.
 *
 * <p>Usage: java -cp KAFKA Tools.java BOOTSTRAP LOG_DIR SCRATCH_DIR STEPS TRANSCRIPT. A step is a line "kafka-topics --list ...";
 * $B is the broker, $DIR the scratch folder, $LOG(topic-0) the first segment of a partition. Lines "< text" below it are its standard input.
 * "sorted " before it is for the comparison: the tool prints lines in no order.
 * Steps that begin with "@" make state with a client and print nothing: see state.
 *
 * <p>What a process would do is imitated: exit() runs the shutdown hooks and the thread that called it goes no further; what escapes
 * main() is printed and ends with 1; a tool that is still there after LIMIT_SECONDS is given up. Output is told apart by thread, so that
 * what a client of an earlier step logs later does not appear in another.
 */
public class Tools {
    static final int LIMIT_SECONDS = 60;

    static final Map<String, String> MAINS = new HashMap<>();

    static {
        String t = "org.apache.kafka.tools.";
        MAINS.put("kafka-topics", t + "TopicCommand");
        MAINS.put("kafka-configs", "kafka.admin.ConfigCommand");
        MAINS.put("kafka-consumer-groups", t + "consumer.group.ConsumerGroupCommand");
        MAINS.put("kafka-share-groups", t + "consumer.group.ShareGroupCommand");
        MAINS.put("kafka-streams-groups", t + "streams.StreamsGroupCommand");
        MAINS.put("kafka-groups", t + "GroupsCommand");
        MAINS.put("kafka-transactions", t + "TransactionsCommand");
        MAINS.put("kafka-get-offsets", t + "GetOffsetShell");
        MAINS.put("kafka-delete-records", t + "DeleteRecordsCommand");
        MAINS.put("kafka-broker-api-versions", t + "BrokerApiVersionsCommand");
        MAINS.put("kafka-features", t + "FeatureCommand");
        MAINS.put("kafka-cluster", t + "ClusterTool");
        MAINS.put("kafka-console-producer", t + "ConsoleProducer");
        MAINS.put("kafka-console-consumer", t + "consumer.ConsoleConsumer");
        MAINS.put("kafka-verifiable-producer", t + "VerifiableProducer");
        MAINS.put("kafka-verifiable-consumer", t + "VerifiableConsumer");
        MAINS.put("kafka-producer-perf-test", t + "ProducerPerformance");
        MAINS.put("kafka-consumer-perf-test", t + "ConsumerPerformance");
        MAINS.put("kafka-dump-log", t + "DumpLogSegments");
        MAINS.put("kafka-log-dirs", t + "LogDirsCommand");
        MAINS.put("kafka-acls", t + "AclCommand");
        MAINS.put("kafka-client-metrics", t + "ClientMetricsCommand");
        MAINS.put("kafka-delegation-tokens", t + "DelegationTokenCommand");
        MAINS.put("kafka-reassign-partitions", t + "reassign.ReassignPartitionsCommand");
        MAINS.put("kafka-leader-election", t + "LeaderElectionCommand");
        MAINS.put("kafka-metadata-quorum", t + "MetadataQuorumCommand");
    }

    /** One run of a tool: where its output goes and how it ended. */
    static class Run {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new CopyOnWriteArrayList<>();
        final CompletableFuture<Integer> status = new CompletableFuture<>();
    }

    static final InheritableThreadLocal<Run> RUN = new InheritableThreadLocal<>();
    static final PrintStream REAL_ERR = System.err;

    /** Passes each write to the run of the thread that writes; nothing is kept once the run has ended. */
    static PrintStream byThread(boolean err) {
        return new PrintStream(new OutputStream() {
            @Override public void write(int b) {
                write(new byte[] {(byte) b}, 0, 1);
            }
            @Override public void write(byte[] bytes, int off, int len) {
                Run run = RUN.get();
                if (run == null) {
                    if (err) REAL_ERR.write(bytes, off, len);
                } else if (!run.status.isDone()) {
                    (err ? run.err : run.out).write(bytes, off, len);
                }
            }
        }, true);
    }

    final String bootstrap;
    final Path logs;
    final Path scratch;
    final Admin admin;
    final Map<String, String> segments = new HashMap<>(); // paths that $LOG stood for
    final Map<String, AutoCloseable> held = new HashMap<>(); // members and open transactions, by name

    Tools(String bootstrap, Path logs, Path scratch) {
        this.bootstrap = bootstrap;
        this.logs = logs;
        this.scratch = scratch;
        this.admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] args) throws Exception {
        System.setOut(byThread(false));
        System.setErr(byThread(true));
        Exit.Procedure exit = (status, message) -> {
            Run run = RUN.get();
            finish(run, status);
            while (true) LockSupport.park();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> RUN.get().hooks.add(hook));
        Tools tools = new Tools(args[0], Path.of(args[1]), Path.of(args[2]));
        try (PrintWriter transcript = new PrintWriter(args[4], StandardCharsets.UTF_8)) {
            tools.steps(Files.readAllLines(Path.of(args[3])), transcript);
        }
        Runtime.getRuntime().halt(0); // tools that ended by exit() have left threads behind
    }

    /** Ends a run as a process ends: hooks first, then the status. Only the first end counts. */
    static void finish(Run run, int status) {
        List<Thread> threads = new ArrayList<>();
        for (Runnable hook : run.hooks) threads.add(new Thread(hook));
        for (Thread thread : threads) thread.start();
        for (Thread thread : threads) {
            try {
                thread.join(10_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        run.status.complete(status);
    }

    void steps(List<String> lines, PrintWriter transcript) throws Exception {
        for (int i = 0; i < lines.size(); ) {
            String line = lines.get(i++);
            StringBuilder input = new StringBuilder();
            for (; i < lines.size() && lines.get(i).startsWith("< "); i++) input.append(lines.get(i).substring(2)).append('\n');
            if (line.isBlank() || line.startsWith("#")) continue;
            List<String> words = words(line);
            if (line.startsWith("@")) {
                state(words, input.toString());
                continue;
            }
            if (words.get(0).equals("sorted")) words.remove(0);
            Run run = run(words, input.toString());
            transcript.println("$ " + line);
            transcript.print(quoted("< ", input.toString()));
            transcript.print(quoted("1 ", printed(run.out)));
            transcript.print(quoted("2 ", printed(run.err)));
            transcript.println("exit " + (run.status.get() == Integer.MIN_VALUE ? "none after " + LIMIT_SECONDS + " s" : run.status.get()));
            transcript.println();
            transcript.flush();
        }
    }

    static String quoted(String prefix, String text) {
        StringBuilder all = new StringBuilder();
        text.lines().forEach(l -> all.append((prefix + l).stripTrailing()).append('\n'));
        return all.toString();
    }

    /** Splits a line at spaces, keeping together what stands in single quotes, and fills in the $ names. */
    List<String> words(String line) throws Exception {
        List<String> words = new ArrayList<>();
        StringBuilder word = null;
        boolean quoted = false;
        for (char c : line.toCharArray()) {
            if (c == '\'') {
                quoted = !quoted;
                if (word == null) word = new StringBuilder();
            } else if (c == ' ' && !quoted) {
                if (word != null) words.add(filled(word.toString()));
                word = null;
            } else {
                if (word == null) word = new StringBuilder();
                word.append(c);
            }
        }
        if (word != null) words.add(filled(word.toString()));
        return words;
    }

    String filled(String word) throws Exception {
        word = word.replace("$B", bootstrap).replace("$DIR", scratch.toString());
        int at = word.indexOf("$LOG(");
        if (at < 0) return word;
        int end = word.indexOf(')', at);
        return word.substring(0, at) + segment(word.substring(at + 5, end)) + word.substring(end + 1);
    }

    /** The first segment of a partition: Kafka names its folder by the topic, oncelog by the topic's id. */
    Path segment(String partition) throws Exception {
        String first = "00000000000000000000.log";
        Path named = logs.resolve(partition).resolve(first);
        if (Files.exists(named)) return remembered(named, partition);
        int dash = partition.lastIndexOf('-');
        Uuid id = admin.describeTopics(List.of(partition.substring(0, dash))).allTopicNames().get().get(partition.substring(0, dash)).topicId();
        String hex = String.format("%016x%016x", id.getMostSignificantBits(), id.getLeastSignificantBits());
        return remembered(logs.resolve(hex + partition.substring(dash)).resolve(first), partition);
    }

    Path remembered(Path segment, String partition) {
        segments.put(segment.toString(), "$LOG(" + partition + ")");
        return segment;
    }

    /** What a tool printed, with the names of segments as the steps say them. */
    String printed(ByteArrayOutputStream bytes) {
        String text = bytes.toString(StandardCharsets.UTF_8);
        for (var segment : segments.entrySet()) text = text.replace(segment.getKey(), segment.getValue());
        return text;
    }

    Run run(List<String> words, String input) throws Exception {
        Run run = new Run();
        String main = MAINS.get(words.get(0));
        if (main == null) throw new IllegalArgumentException("no such tool: " + words.get(0));
        String[] args = words.subList(1, words.size()).toArray(new String[0]);
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        Thread thread = new Thread(() -> {
            RUN.set(run);
            int status = 0;
            try {
                Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (java.lang.reflect.InvocationTargetException e) {
                System.err.print("Exception in thread \"main\" ");
                e.getCause().printStackTrace();
                status = 1;
            } catch (ReflectiveOperationException e) {
                e.printStackTrace();
                status = 127;
            }
            finish(run, status);
        });
        thread.setDaemon(true);
        thread.start();
        try {
            run.status.get(LIMIT_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            for (StackTraceElement frame : thread.getStackTrace()) REAL_ERR.println("  still at " + frame);
            run.status.complete(Integer.MIN_VALUE);
        }
        return run;
    }

    /**
     * Makes state that no tool makes, or not the same one twice:
     * <pre>
     * @file NAME                                       writes standard input to $DIR/NAME
     * @produce TOPIC PARTITION [transactional id] [commit|abort|leave]
     *                                                  a record for each line of input: timestamp, key, value, headers a=b,c=d; parted by spaces
     * @member NAME GROUP TOPIC [key=value...]          a consumer that stays in the group until @release; its assignment has come
     * @release NAME                                    closes a member or a transaction that was left open
     * </pre>
     */
    void state(List<String> words, String input) throws Exception {
        switch (words.get(0)) {
            case "@file" -> Files.writeString(scratch.resolve(words.get(1)), input);
            case "@produce" -> produce(words, input);
            case "@member" -> held.put(words.get(1), new Member(bootstrap, words));
            case "@release" -> held.remove(words.get(1)).close();
            default -> throw new IllegalArgumentException("no such step: " + words);
        }
    }

    void produce(List<String> words, String input) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 1000, "delivery.timeout.ms", 40000, "client.id", "golden"));
        String transactionalId = words.size() > 3 ? words.get(3) : null;
        if (transactionalId != null) config.put("transactional.id", transactionalId);
        KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        if (transactionalId != null) {
            producer.initTransactions();
            producer.beginTransaction();
        }
        for (String line : input.lines().toList()) {
            String[] part = line.split(" ");
            var record = new ProducerRecord<>(words.get(1), Integer.valueOf(words.get(2)), Long.valueOf(part[0]),
                part[1].equals("null") ? null : part[1], part[2].equals("null") ? null : part[2]);
            if (part.length > 3) {
                for (String header : part[3].split(",")) {
                    String[] pair = header.split("=");
                    record.headers().add(pair[0], pair[1].getBytes(StandardCharsets.UTF_8));
                }
            }
            producer.send(record);
        }
        producer.flush();
        switch (words.size() > 4 ? words.get(4) : "") {
            case "commit" -> producer.commitTransaction();
            case "abort" -> producer.abortTransaction();
            case "leave" -> {
                held.put(transactionalId, producer);
                return;
            }
            default -> { }
        }
        producer.close();
    }

    /** A consumer that polls in a thread of its own until it is closed. */
    static class Member implements AutoCloseable {
        final AtomicBoolean closed = new AtomicBoolean();
        final AtomicReference<Throwable> failed = new AtomicReference<>();
        final Thread thread;

        Member(String bootstrap, List<String> words) throws InterruptedException {
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", words.get(2),
                "auto.offset.reset", "earliest", "enable.auto.commit", false, "client.id", words.get(1)));
            for (String pair : words.subList(4, words.size())) config.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
            CountDownLatch assigned = new CountDownLatch(1);
            thread = new Thread(() -> {
                try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
                    consumer.subscribe(List.of(words.get(3)));
                    while (!closed.get()) {
                        if (!consumer.poll(java.time.Duration.ofMillis(200)).isEmpty()) consumer.commitSync();
                        if (!consumer.assignment().isEmpty()) assigned.countDown();
                    }
                } catch (RuntimeException e) {
                    failed.set(e);
                }
            });
            thread.start();
            if (!assigned.await(LIMIT_SECONDS, TimeUnit.SECONDS)) throw new IllegalStateException("nothing was assigned to " + words, failed.get());
        }

        @Override public void close() throws InterruptedException {
            closed.set(true);
            thread.join();
        }
    }
}
