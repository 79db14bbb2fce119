"""The cells with aiokafka. Its event loop runs in a thread, so that heartbeats go on between two calls."""

import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cells import CELL_SECONDS, Failure, Record, main, read_all, until

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def wait(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(CELL_SECONDS)


async def started(make, *args, **settings):
    """The library's objects want to be made inside the loop."""
    thing = make(*args, **settings)
    await thing.start()
    return thing


async def assign(consumer, partitions):
    consumer.assign(partitions)  # no coroutine, but wants to be called in the loop


class Library:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = wait(started(AIOKafkaAdminClient, bootstrap_servers=bootstrap))

    def create_topic(self, topic, partitions):
        answer = wait(self.admin.create_topics([NewTopic(topic, partitions, 1)]))
        for _, code, *message in answer.topic_errors:
            if code:
                raise Failure(f"create topic {topic}: error {code} {message}")

        def shown():
            (found,) = wait(self.admin.describe_topics([topic]))
            return not found["error_code"] and all(p["leader"] >= 0 for p in found["partitions"])

        until(f"topic {topic} in metadata", shown)

    def consumer(self, *topics, **settings):
        settings |= {"bootstrap_servers": self.bootstrap, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
        return wait(started(AIOKafkaConsumer, *topics, **settings))

    def high_watermarks(self, topic, partitions):
        consumer = self.consumer()
        ends = wait(consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)]))
        wait(consumer.stop())
        return {p.partition: offset for p, offset in ends.items()}

    def committed(self, group, topic):
        listed = wait(self.admin.list_consumer_group_offsets(group))
        return {p.partition: o.offset for p, o in listed.items() if p.topic == topic}

    def read(self, topic, partitions, committed_only, is_last):
        consumer = self.consumer(isolation_level="read_committed" if committed_only else "read_uncommitted")
        wait(assign(consumer, [TopicPartition(topic, p) for p in range(partitions)]))
        records = read_all(lambda: poll(consumer), topic, partitions, is_last)
        wait(consumer.stop())
        return records

    def producer(self, transactional_id=None):
        return Producer(self.bootstrap, transactional_id)

    def member(self, group, topic):
        return Member(self.consumer(topic, group_id=group, heartbeat_interval_ms=500), topic, group)


def poll(consumer):
    polled = wait(consumer.getmany(timeout_ms=100))
    return [Record(r.partition, r.value, r.key, tuple(r.headers), r.offset) for records in polled.values() for r in records]


class Producer:
    def __init__(self, bootstrap, transactional_id):
        settings = {"bootstrap_servers": bootstrap, "enable_idempotence": True, "transactional_id": transactional_id}
        self.producer = wait(started(AIOKafkaProducer, **settings))

    def begin(self):
        wait(self.producer.begin_transaction())

    def commit(self):
        wait(self.producer.commit_transaction())

    def abort(self):
        wait(self.producer.abort_transaction())

    def send(self, topic, records):
        wait(self._send(topic, records))

    async def _send(self, topic, records):
        sent = [
            await self.producer.send(topic, r.value, r.key, r.partition, headers=list(r.headers) or None) for r in records
        ]
        await asyncio.gather(*sent)

    def send_offsets(self, offsets, member):
        ends = {TopicPartition(member.topic, p): offset for p, offset in offsets.items()}
        wait(self.producer.send_offsets_to_transaction(ends, member.group))

    def close(self):
        wait(self.producer.stop())


class Member:
    def __init__(self, consumer, topic, group):
        self.consumer, self.topic, self.group = consumer, topic, group

    def assigned(self):
        return len(self.consumer.assignment())

    def poll(self):
        return poll(self.consumer)

    def commit(self):
        wait(self.consumer.commit())

    def close(self):
        wait(self.consumer.stop())


main(Library)
