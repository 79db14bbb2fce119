"""The cells with kafka-python."""

import logging

from cells import Record, main, read_all
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata


class Library:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create_topic(self, topic, partitions):
        spec = {"num_partitions": partitions, "replication_factor": 1}
        self.admin.create_topics({topic: spec}, wait_for_metadata=True)

    def consumer(self, **settings):
        return KafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", **settings
        )

    def high_watermarks(self, topic, partitions):
        consumer = self.consumer()
        ends = consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        consumer.close()
        return {p.partition: offset for p, offset in ends.items()}

    def committed(self, group, topic):
        listed = self.admin.list_group_offsets({group: None})[group]
        return {p.partition: o.offset for p, o in listed.items() if p.topic == topic}

    def read(self, topic, partitions, committed_only, is_last):
        consumer = self.consumer(isolation_level="read_committed" if committed_only else "read_uncommitted")
        consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        records = read_all(lambda: poll(consumer), topic, partitions, is_last)
        consumer.close()
        return records

    def producer(self, transactional_id=None):
        return Producer(self.bootstrap, transactional_id)

    def member(self, group, topic):
        return Member(self.consumer(group_id=group, heartbeat_interval_ms=500), topic)


def poll(consumer):
    polled = consumer.poll(timeout_ms=100)
    return [Record(r.partition, r.value, r.key, tuple(r.headers), r.offset) for records in polled.values() for r in records]


class Producer:
    def __init__(self, bootstrap, transactional_id):
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", transactional_id=transactional_id
        )
        if transactional_id:
            self.producer.init_transactions()
        self.begin = self.producer.begin_transaction
        self.commit = self.producer.commit_transaction
        self.abort = self.producer.abort_transaction
        self.close = self.producer.close

    def send(self, topic, records):
        sent = [self.producer.send(topic, r.value, r.key, list(r.headers), r.partition) for r in records]
        self.producer.flush(60)
        for future in sent:
            future.get(60)

    def send_offsets(self, offsets, member):
        ends = {TopicPartition(member.topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        self.producer.send_offsets_to_transaction(ends, member.consumer.group_metadata())


class Member:
    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic
        # A leader that joins without metadata assigns nothing and joins again; a short poll can then end in a state where
        # kafka-python never sends a heartbeat: its join ends unnoticed.
        consumer.partitions_for_topic(topic)
        consumer.subscribe([topic])
        self.commit = consumer.commit
        self.close = consumer.close

    def assigned(self):
        return len(self.consumer.assignment())

    def poll(self):
        return poll(self.consumer)


logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)  # it warns of a machine that is busy
main(Library)
