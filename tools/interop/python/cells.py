"""What every client library must show, said once for all Python libraries; see also ../go/cells.

A library is an adapter with these methods:

    create_topic(topic, partitions)         returns when metadata shows the topic with its leaders
    high_watermarks(topic, partitions)      {partition: offset}
    committed(group, topic)                 {partition: offset}
    read(topic, partitions, committed_only, is_last)  records of each partition up to the one that is_last, with no group
    producer(transactional_id=None)         idempotent, or transactional
    member(group, topic)                    joins; starts at the earliest offset, commits only when told

A producer has send(topic, records), begin(), commit(), abort(), send_offsets({partition: offset}, member) and close();
each returns when the broker has answered. A member has topic, assigned() (how many partitions), poll() (what came within
about 100 ms), commit() (all that was polled) and close().
"""

import logging
import sys
import time
import traceback
from typing import NamedTuple, Optional

CELL_SECONDS = 60  # far above what a cell takes


class Record(NamedTuple):
    partition: int
    value: Optional[bytes]
    key: Optional[bytes] = None
    headers: tuple = ()
    offset: int = -1


class Failure(Exception):
    """A broker or library did not do what the cell asks."""


def main(open_library):
    """Runs the cells for the library that open_library(bootstrap) makes, and prints a line for each."""
    bootstrap, prefix = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    library = open_library(bootstrap)
    for cell in idempotent, group, txn, etl:
        try:
            verdict, detail = "ok", cell(library, prefix)
        except Exception as error:
            where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            verdict, detail = "fail", f"{type(error).__name__}: {error} (in {' '.join(where)})"
        print(cell.__name__, verdict, " ".join(detail.split()), sep="\t", flush=True)


def expect(what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got!r}, want {want!r}")


def until(what, done):
    """Calls done until it is true or the time of a cell is over."""
    end = time.monotonic() + CELL_SECONDS
    while not done():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {CELL_SECONDS} s")


def read_all(poll, topic, partitions, is_last):
    """Polls until each partition has given the record that is its last."""
    records, ended = [], set()

    def ends():
        for record in poll():
            records.append(record)
            if is_last(record):
                ended.add(record.partition)
        return len(ended) == partitions

    until(f"the end of {topic}", ends)
    return records


def by_partition(records):
    all_of = {}
    for r in records:
        all_of.setdefault(r.partition, []).append(r)
    return all_of


def each(partitions, offset):
    return dict.fromkeys(range(partitions), offset)


def sample(i, partition):
    """A record with what is easily lost: bytes that are no text, an empty header, a null value."""
    return Record(
        partition=partition,
        key=b"key-%d" % i,
        value=None if i % 100 == 99 else b"value-%d-\x00\xff" % i,
        headers=(("index", b"%d" % i), ("empty", b""), ("bytes", b"\x00\xff\x80")),
    )


def idempotent(library, prefix):
    """1,000 records over three partitions come back once, in order, as they were."""
    topic, partitions = prefix + "-idempotent", 3
    library.create_topic(topic, partitions)
    sent = [sample(i, i % partitions) for i in range(1000)]
    producer = library.producer()
    producer.send(topic, sent)
    producer.close()
    want = {p: [r._replace(offset=o) for o, r in enumerate(rs)] for p, rs in by_partition(sent).items()}
    expect("high watermarks", library.high_watermarks(topic, partitions), {p: len(rs) for p, rs in want.items()})
    got = by_partition(library.read(topic, partitions, False, lambda r: r.offset == len(want[r.partition]) - 1))
    for p in want:
        expect(f"records in partition {p}", len(got[p]), len(want[p]))
        for g, w in zip(got[p], want[p]):
            expect(f"partition {p} offset {w.offset}", g, w)
    return f"{len(sent)} records"


def fill(library, topic, partitions, records):
    producer = library.producer()
    producer.send(topic, [Record(p, b"p%d-%d" % (p, i)) for p in range(partitions) for i in range(records)])
    producer.close()


def in_order(what, records, first, partitions, count):
    """Each partition gave so many records, one offset after the other."""
    got = {p: [r.offset for r in rs] for p, rs in by_partition(records).items()}
    expect(what, got, {p: list(range(first, first + count)) for p in range(partitions)})


def group(library, prefix):
    """Two members share six partitions and commit; one leaves, and a third resumes from what is committed."""
    topic = name = prefix + "-group"
    partitions, half = 6, 50
    library.create_topic(topic, partitions)
    members = [library.member(name, topic), library.member(name, topic)]
    for turn, who in enumerate(("first and second member", "second and third member")):

        def shared():
            again = [r for m in members for r in m.poll()]
            expect(f"{who}: consumed again", again, [])
            return all(m.assigned() == partitions // 2 for m in members)

        until(f"{who} have {partitions // 2} partitions each", shared)
        fill(library, topic, partitions, half)
        parts = [[], []]

        def drained():
            for part, member in zip(parts, members):
                part.extend(member.poll())
            return sum(map(len, parts)) >= partitions * half

        until(f"{who} read {partitions * half} records", drained)
        if not all(parts):
            raise Failure(f"{who}: one of them read nothing")
        in_order(who, parts[0] + parts[1], turn * half, partitions, half)
        for member in members:
            member.commit()
        expect("committed offsets", library.committed(name, topic), each(partitions, (turn + 1) * half))
        members.pop(0).close()
        if turn == 0:
            members.append(library.member(name, topic))
    for member in members:
        member.close()
    return f"{2 * partitions * half} records, three members"


def txn(library, prefix):
    """Five transactions, the second and fourth aborted. A marker takes one offset in each partition."""
    topic = name = prefix + "-txn"
    partitions, transactions, records = 2, 5, 10
    library.create_topic(topic, partitions)
    producer = library.producer(name)
    for t in range(transactions):
        producer.begin()
        producer.send(topic, [Record(p, b"t%d-r%d" % (t, r)) for p in range(partitions) for r in range(records)])
        producer.abort() if t % 2 else producer.commit()
    producer.close()
    end = transactions * (records + 1)
    for committed_only in True, False:
        read = library.read(topic, partitions, committed_only, lambda r: r.offset == end - 2)  # the last offset is a marker's
        got = {p: [(r.offset, r.value) for r in rs] for p, rs in by_partition(read).items()}
        written = [
            (t * (records + 1) + r, b"t%d-r%d" % (t, r))
            for t in range(transactions)
            for r in range(records)
            if t % 2 == 0 or not committed_only
        ]
        expect(f"read, committed only {committed_only}", got, dict.fromkeys(range(partitions), written))
    # Only now: Kafka answers a commit before it has written the markers, and who reads committed records waits for them.
    expect("high watermarks", library.high_watermarks(topic, partitions), each(partitions, end))
    return "3 committed, 2 aborted"


def attempts(member, producer, to, enough, commit):
    """Consumes, transforms and produces, each poll one transaction, until so many records are consumed."""
    consumed = []

    def attempt():
        records = member.poll()
        if records:
            producer.begin()
            producer.send(to, [Record(r.partition, b"out-" + r.value) for r in records])
            producer.send_offsets({r.partition: r.offset + 1 for r in records}, member)
            producer.commit() if commit else producer.abort()
            consumed.extend(records)
        return len(consumed) >= enough

    until(f"{enough} records transformed", attempt)
    return consumed


def etl(library, prefix):
    """What is consumed is produced again, its offsets in the same transaction; the first attempt is aborted and redone."""
    source, to, name = prefix + "-etl-in", prefix + "-etl-out", prefix + "-etl"
    partitions, half = 2, 50
    for topic in source, to:
        library.create_topic(topic, partitions)
    producer, member = library.producer(name), library.member(name, source)
    fill(library, source, partitions, half)
    aborted = attempts(member, producer, to, 1, commit=False)
    member.close()
    member = library.member(name, source)  # resumes from the committed offsets: there are none
    consumed = attempts(member, producer, to, partitions * half, commit=True)
    fill(library, source, partitions, half)
    consumed += attempts(member, producer, to, partitions * half, commit=True)
    in_order("input", consumed, 0, partitions, 2 * half)
    member.close()
    producer.close()

    plain = library.producer()
    plain.send(to, [Record(p, b"end") for p in range(partitions)])
    plain.close()
    output = by_partition(library.read(to, partitions, True, lambda r: r.value == b"end"))
    want = {p: [b"out-" + r.value for r in rs] + [b"end"] for p, rs in by_partition(consumed).items()}
    expect("output", {p: [r.value for r in rs] for p, rs in output.items()}, want)
    # Kafka answers the commit before the offsets are there, and not every library asks for stable ones.
    end = each(partitions, 2 * half)
    until(f"committed offsets {end}", lambda: library.committed(name, source) == end)
    return f"{2 * partitions * half} records, {len(aborted)} of them redone after an abort"
