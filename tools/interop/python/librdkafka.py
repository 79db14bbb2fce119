"""The cells with librdkafka, by confluent-kafka."""

from cells import Record, main, read_all, until
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


class Library:
    def __init__(self, bootstrap):
        self.config = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(self.config)

    def create_topic(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()

        def shown():
            found = self.admin.list_topics(topic, timeout=10).topics[topic]
            return not found.error and all(p.leader >= 0 for p in found.partitions.values())

        until(f"topic {topic} in metadata", shown)

    def consumer(self, group, **settings):
        return Consumer(self.config | {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"} | settings)

    def high_watermarks(self, topic, partitions):
        consumer = self.consumer("unused")
        offsets = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), cached=False)[1] for p in range(partitions)}
        consumer.close()
        return offsets

    def committed(self, group, topic):
        listed = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        return {p.partition: p.offset for p in listed.topic_partitions if p.topic == topic}

    def read(self, topic, partitions, committed_only, is_last):
        consumer = self.consumer("unused", **{"isolation.level": "read_committed" if committed_only else "read_uncommitted"})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        records = read_all(lambda: poll(consumer), topic, partitions, is_last)
        consumer.close()
        return records

    def producer(self, transactional_id=None):
        return TransactionalProducer(self.config, transactional_id)

    def member(self, group, topic):
        return Member(self.consumer(group, **{"heartbeat.interval.ms": 500}), topic)


def poll(consumer):
    records = []
    for message in consumer.consume(500, timeout=0.1):
        if message.error():
            raise KafkaException(message.error())
        records.append(
            Record(message.partition(), message.value(), message.key(), tuple(message.headers() or ()), message.offset())
        )
    return records


class TransactionalProducer:
    def __init__(self, config, transactional_id):
        config = config | {"enable.idempotence": True}
        if transactional_id:
            config["transactional.id"] = transactional_id
        self.producer = Producer(config)
        if transactional_id:
            self.producer.init_transactions(60)
        self.begin = self.producer.begin_transaction
        self.commit = self.producer.commit_transaction
        self.abort = self.producer.abort_transaction

    def send(self, topic, records):
        errors = []

        def delivered(error, _):
            if error:
                errors.append(error)

        for r in records:
            self.producer.produce(topic, r.value, r.key, r.partition, headers=list(r.headers), on_delivery=delivered)
        left = self.producer.flush(60)
        if errors or left:
            raise KafkaException(errors[0]) if errors else TimeoutError(f"{left} records not delivered in 60 s")

    def send_offsets(self, offsets, member):
        ends = [TopicPartition(member.topic, p, offset) for p, offset in offsets.items()]
        self.producer.send_offsets_to_transaction(ends, member.consumer.consumer_group_metadata())

    def close(self):
        pass  # librdkafka closes with its object


class Member:
    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic
        consumer.subscribe([topic])
        self.close = consumer.close

    def assigned(self):
        return len(self.consumer.assignment())

    def poll(self):
        return poll(self.consumer)

    def commit(self):
        self.consumer.commit(asynchronous=False)


main(Library)
