import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** The four cells that every client library runs: idempotent, group, txn and etl. */
public final class Interop {
    private final Cells c;

    private Interop(Cells c) {
        this.c = c;
    }

    public static void main(String[] args) {
        var interop = new Interop(new Cells(args));
        Cells.cell("idempotent", interop::idempotent);
        Cells.cell("group", interop::group);
        Cells.cell("txn", interop::txn);
        Cells.cell("etl", interop::etl);
    }

    /** Idempotent producers, one for each codec, write 1,000 records; each is read once, in order, with every byte. */
    private String idempotent() throws Exception {
        String topic = c.topic("idempotent", 3);
        var random = new Random(1);
        List<List<String>> want = List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        int n = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var producer = c.bytesProducer("enable.idempotence", true, "compression.type", codec, "linger.ms", 5)) {
                for (int i = 0; i < 200; i++, n++) {
                    byte[] value = new byte[random.nextInt(300)];
                    random.nextBytes(value);
                    var record = new ProducerRecord<>(topic, n % 3, 1_700_000_000_000L + n, ("key-" + n).getBytes(), value);
                    record.headers().add("n", ("" + n).getBytes()).add("n", new byte[0]).add("none", null);
                    want.get(n % 3).add(text(want.get(n % 3).size(), record.timestamp(), record.key(), record.value(), record.headers()));
                    producer.send(record, (metadata, e) -> { if (e != null) e.printStackTrace(); });
                }
            }
        }
        var got = c.readBytes(topic, 3, "read_uncommitted");
        for (int p = 0; p < 3; p++) {
            var texts = got.get(p).stream().map(r -> text(r.offset(), r.timestamp(), r.key(), r.value(), r.headers())).collect(Collectors.toList());
            Cells.same("partition " + p, want.get(p), texts);
        }
        return n + " records of 5 codecs, each once, in order, byte-equal with headers";
    }

    private static String text(long offset, long timestamp, byte[] key, byte[] value, Iterable<org.apache.kafka.common.header.Header> headers) {
        var s = new StringBuilder(offset + "@" + timestamp + " " + hex(key) + "=" + hex(value));
        for (var h : headers) s.append(' ').append(h.key()).append(':').append(h.value() == null ? "null" : hex(h.value()));
        return s.toString();
    }

    private static String hex(byte[] bytes) {
        return java.util.HexFormat.of().formatHex(bytes);
    }

    /** A group member that commits its positions when it must give partitions away. */
    private final class Member implements ConsumerRebalanceListener, AutoCloseable {
        final KafkaConsumer<String, String> consumer;
        final List<String> seen;
        int own;

        Member(String topic, List<String> seen) {
            this.seen = seen;
            consumer = c.consumer("group.id", c.prefix + "-group", "enable.auto.commit", false, "auto.offset.reset", "earliest",
                "max.poll.records", 10, "heartbeat.interval.ms", 200);
            consumer.subscribe(List.of(topic), this);
        }

        void poll() {
            for (var r : consumer.poll(Cells.POLL)) {
                seen.add(r.value());
                own++;
            }
        }

        @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            if (!partitions.isEmpty()) consumer.commitSync();
        }

        @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) { }

        @Override public void close() {
            consumer.close();
        }
    }

    /** Two members share the work and commit, one leaves, a third resumes where the commits ended. */
    private String group() throws Exception {
        int half = 600;
        String topic = c.topic("group", 6);
        var seen = new ArrayList<String>();
        try (var first = new Member(topic, seen)) {
            try (var second = new Member(topic, seen)) {
                share(first, second);
                produce(topic, 0, half);
                var deadline = new Cells.Deadline();
                while (first.own == 0 || second.own == 0 || seen.size() < half / 2) both(deadline, first, second);
                first.consumer.commitSync();
                second.consumer.commitSync();
            }
            try (var third = new Member(topic, seen)) {
                share(first, third);
                produce(topic, half, 2 * half);
                var deadline = new Cells.Deadline();
                while (seen.size() < 2 * half) both(deadline, first, third);
                Cells.check(third.own > 0, "the third member got no records");
                for (int i = 0; i < 3; i++) both(deadline, first, third); // nothing may follow
                first.consumer.commitSync();
                third.consumer.commitSync();
                Cells.same("records seen", 2 * half, seen.size());
                Cells.same("distinct records seen", 2 * half, new HashSet<>(seen).size());
                Cells.same("committed offsets", first.consumer.endOffsets(Cells.partitions(topic, 6)), committed(first.consumer, topic, 6));
                return 2 * half + " records over 6 partitions, each once by three members";
            }
        }
    }

    private void produce(String topic, int from, int to) {
        try (var producer = c.producer()) {
            for (int i = from; i < to; i++) producer.send(new ProducerRecord<>(topic, i % 6, null, "v" + i));
        }
    }

    private static void both(Cells.Deadline deadline, Member a, Member b) {
        deadline.check("the records, have " + a.seen.size());
        a.poll();
        b.poll();
    }

    /** Lets two members poll until each has three partitions. */
    private static void share(Member a, Member b) {
        for (var deadline = new Cells.Deadline(); a.consumer.assignment().size() != 3 || b.consumer.assignment().size() != 3; ) both(deadline, a, b);
    }

    private static Map<TopicPartition, Long> committed(Consumer<?, ?> consumer, String topic, int partitions) {
        var offsets = new HashMap<TopicPartition, Long>();
        consumer.committed(Set.copyOf(Cells.partitions(topic, partitions))).forEach((tp, o) -> offsets.put(tp, o == null ? null : o.offset()));
        return offsets;
    }

    /** Commit, abort, commit, 10 records each to two partitions: a marker takes the offset after each ten. */
    private String txn() throws Exception {
        String topic = c.topic("txn", 2);
        List<String> all = new ArrayList<>();
        List<String> committed = new ArrayList<>();
        try (var producer = c.producer("transactional.id", c.prefix + "-txn")) {
            producer.initTransactions();
            for (int t = 0; t < 3; t++) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    String value = "t" + t + "-" + i;
                    for (int p = 0; p < 2; p++) producer.send(new ProducerRecord<>(topic, p, null, value));
                    all.add((11 * t + i) + "=" + value);
                    if (t != 1) committed.add((11 * t + i) + "=" + value);
                }
                producer.flush();
                if (t == 1) producer.abortTransaction(); else producer.commitTransaction();
            }
        }
        for (int p = 0; p < 2; p++) {
            Cells.same("read_committed of partition " + p, committed, c.read(topic, 2, p, "read_committed"));
            Cells.same("read_uncommitted of partition " + p, all, c.read(topic, 2, p, "read_uncommitted"));
        }
        try (var consumer = c.consumer()) {
            var ends = consumer.endOffsets(Cells.partitions(topic, 2));
            for (long end : ends.values()) Cells.same("end offset: 30 records and 3 markers", 33L, end);
        }
        return "2 committed, 1 aborted between them; 3 marker gaps";
    }

    /** Consume, transform and produce with the offsets in the transaction; the second attempt is aborted and done again. */
    private String etl() throws Exception {
        String in = c.topic("etl-in", 2);
        String out = c.topic("etl-out", 2);
        int n = 400;
        try (var producer = c.producer()) {
            for (int i = 0; i < n; i++) producer.send(new ProducerRecord<>(in, i % 2, null, "v" + i));
        }
        int attempts = 0;
        try (var consumer = c.consumer("group.id", c.prefix + "-etl", "enable.auto.commit", false, "auto.offset.reset", "earliest",
                "isolation.level", "read_committed", "max.poll.records", 50);
             var producer = c.producer("transactional.id", c.prefix + "-etl")) {
            producer.initTransactions();
            consumer.subscribe(List.of(in));
            var deadline = new Cells.Deadline();
            for (int done = 0; done < n; ) {
                deadline.check("the input to be transformed, done " + done + " of " + n);
                ConsumerRecords<String, String> records = consumer.poll(Cells.POLL);
                if (records.isEmpty()) continue;
                boolean abort = ++attempts == 2;
                attempt(consumer, producer, records, out, abort);
                if (!abort) done += records.count();
            }
            Cells.same("committed offsets", consumer.endOffsets(Cells.partitions(in, 2)), committed(consumer, in, 2));
        }
        Cells.check(attempts > 2, "want more than 2 attempts, got " + attempts);
        var got = c.readBytes(out, 2, "read_committed");
        for (int p = 0; p < 2; p++) {
            int partition = p;
            var want = IntStream.range(0, n).filter(i -> i % 2 == partition).mapToObj(i -> "V" + i).collect(Collectors.toList());
            Cells.same("output of partition " + p, want, got.get(p).stream().map(r -> new String(r.value())).collect(Collectors.toList()));
        }
        return n + " records transformed once in " + attempts + " attempts, 1 of them aborted";
    }

    private static void attempt(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer,
            ConsumerRecords<String, String> records, String out, boolean abort) {
        producer.beginTransaction();
        var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
        for (ConsumerRecord<String, String> r : records) {
            producer.send(new ProducerRecord<>(out, r.partition(), null, r.value().toUpperCase()));
            offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        if (!abort) {
            producer.commitTransaction();
            return;
        }
        producer.flush();
        producer.abortTransaction();
        var committed = consumer.committed(consumer.assignment());
        for (var tp : consumer.assignment()) consumer.seek(tp, committed.get(tp) == null ? 0 : committed.get(tp).offset());
    }
}
