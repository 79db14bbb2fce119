// What every client library must show, for JavaScript; see also ../go/cells.
//
// A library is an adapter with these methods; all of them return promises:
//
//   createTopic(topic, partitions)       resolves when metadata shows the topic with its leaders
//   highWatermarks(topic)                {partition: offset}
//   committed(group, topic)              {partition: offset}
//   read(topic, partitions, committedOnly, isLast)  records of each partition up to the one that isLast
//   producer(transactionalId)            idempotent, or transactional: send(topic, records), begin(), commit(), abort(),
//                                        sendOffsets({partition: offset}, member), close()
//   member(group, topic)                 joins; starts at the earliest offset, commits only when told:
//                                        assigned() (how many partitions), poll(), commit(), close()
'use strict'
const assert = require('node:assert/strict')

const cellMilliseconds = 60_000 // far above what a cell takes

// main runs the cells for the library that open(bootstrap) makes, and prints a line for each.
async function main(open) {
  const [bootstrap, prefix] = process.argv.slice(2)
  const library = await open(bootstrap)
  for (const cell of [idempotent, group, txn, etl]) {
    let verdict = 'ok'
    let detail
    try {
      detail = await Promise.race([cell(library, prefix), late()])
    } catch (error) {
      verdict = 'fail'
      detail = error.stack
    }
    console.log([cell.name, verdict, detail.replace(/\s+/g, ' ')].join('\t'))
  }
  process.exit(0)
}

const late = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error(`not done in ${cellMilliseconds} ms`)), cellMilliseconds))

// until asks done again until it is true; the cell's own time bounds it.
async function until(done) {
  while (!(await done())) {}
}

const range = n => [...Array(n).keys()]
const each = (partitions, offset) => Object.fromEntries(range(partitions).map(p => [p, offset]))

function byPartition(records, map = r => r) {
  const all = {}
  for (const r of records) (all[r.partition] ??= []).push(map(r))
  return all
}

// sample is a record with what is easily lost: bytes that are no text, an empty header, a null value.
function sample(i, partition) {
  return {
    partition,
    key: Buffer.from(`key-${i}`),
    value: i % 100 === 99 ? null : Buffer.concat([Buffer.from(`value-${i}-`), Buffer.from([0, 0xff])]),
    headers: { index: Buffer.from(`${i}`), empty: Buffer.alloc(0), bytes: Buffer.from([0, 0xff, 0x80]) },
  }
}

// idempotent: 1,000 records over three partitions come back once, in order, as they were.
async function idempotent(library, prefix) {
  const [topic, partitions] = [`${prefix}-idempotent`, 3]
  await library.createTopic(topic, partitions)
  const sent = range(1000).map(i => sample(i, i % partitions))
  const producer = await library.producer()
  await producer.send(topic, sent)
  await producer.close()
  const want = byPartition(sent)
  for (const written of Object.values(want)) written.forEach((r, i) => (r.offset = i))
  assert.deepEqual(
    await library.highWatermarks(topic),
    Object.fromEntries(range(partitions).map(p => [p, want[p].length])),
    'high watermarks',
  )
  const read = await library.read(topic, partitions, false, r => r.offset === want[r.partition].length - 1)
  assert.deepEqual(byPartition(read), want)
  return `${sent.length} records`
}

async function fill(library, topic, partitions, records) {
  const producer = await library.producer()
  const all = range(partitions).flatMap(p => range(records).map(i => ({ partition: p, value: Buffer.from(`p${p}-${i}`) })))
  await producer.send(topic, all)
  await producer.close()
}

// inOrder checks that each partition gave so many records, one offset after the other.
function inOrder(records, first, partitions, count) {
  const offsets = range(count).map(i => first + i)
  assert.deepEqual(byPartition(records, r => r.offset), each(partitions, offsets))
}

// group: two members share six partitions and commit; one leaves, and a third resumes from what is committed.
async function group(library, prefix) {
  const topic = `${prefix}-group`
  const [partitions, half] = [6, 50]
  await library.createTopic(topic, partitions)
  const members = await Promise.all([library.member(topic, topic), library.member(topic, topic)])
  for (const turn of [0, 1]) {
    await until(async () => {
      for (const m of members) assert.deepEqual(await m.poll(), [], 'consumed again')
      return members.every(m => m.assigned() === partitions / 2)
    })
    await fill(library, topic, partitions, half)
    const parts = [[], []]
    await until(async () => {
      for (const i of [0, 1]) parts[i].push(...(await members[i].poll()))
      return parts[0].length + parts[1].length >= partitions * half
    })
    assert(parts[0].length > 0 && parts[1].length > 0, 'one of two members read nothing')
    inOrder(parts.flat(), turn * half, partitions, half)
    for (const m of members) await m.commit()
    assert.deepEqual(await library.committed(topic, topic), each(partitions, (turn + 1) * half), 'committed offsets')
    await members.shift().close()
    if (turn === 0) members.push(await library.member(topic, topic))
  }
  await members[0].close()
  return `${2 * partitions * half} records, three members`
}

// txn: five transactions, the second and fourth aborted. A marker takes one offset in each partition.
async function txn(library, prefix) {
  const topic = `${prefix}-txn`
  const [partitions, transactions, records] = [2, 5, 10]
  await library.createTopic(topic, partitions)
  const producer = await library.producer(topic)
  const value = (t, r) => Buffer.from(`t${t}-r${r}`)
  for (const t of range(transactions)) {
    await producer.begin()
    await producer.send(topic, range(partitions).flatMap(partition => range(records).map(r => ({ partition, value: value(t, r) }))))
    await (t % 2 ? producer.abort() : producer.commit())
  }
  await producer.close()
  const end = transactions * (records + 1)
  for (const committedOnly of [true, false]) {
    const read = await library.read(topic, partitions, committedOnly, r => r.offset === end - 2) // the last offset is a marker's
    const want = range(transactions)
      .filter(t => t % 2 === 0 || !committedOnly)
      .flatMap(t => range(records).map(r => `${t * (records + 1) + r}:${value(t, r)}`))
    assert.deepEqual(byPartition(read, r => `${r.offset}:${r.value}`), each(partitions, want), `committed only ${committedOnly}`)
  }
  // Only now: Kafka answers a commit before it has written the markers, and who reads committed records waits for them.
  assert.deepEqual(await library.highWatermarks(topic), each(partitions, end), 'high watermarks')
  return '3 committed, 2 aborted'
}

// attempts consumes, transforms and produces, each poll one transaction, until so many records are consumed.
async function attempts(member, producer, to, enough, commit) {
  const consumed = []
  await until(async () => {
    const records = await member.poll()
    if (records.length > 0) {
      await producer.begin()
      const out = records.map(r => ({ partition: r.partition, value: Buffer.concat([Buffer.from('out-'), r.value]) }))
      await producer.send(to, out)
      await producer.sendOffsets(Object.fromEntries(records.map(r => [r.partition, r.offset + 1])), member)
      await (commit ? producer.commit() : producer.abort())
      consumed.push(...records)
    }
    return consumed.length >= enough
  })
  return consumed
}

// etl: what is consumed is produced again, its offsets in the same transaction; the first attempt is aborted and redone.
async function etl(library, prefix) {
  const [from, to, name] = [`${prefix}-etl-in`, `${prefix}-etl-out`, `${prefix}-etl`]
  const [partitions, half] = [2, 50]
  for (const topic of [from, to]) await library.createTopic(topic, partitions)
  const producer = await library.producer(name)
  let member = await library.member(name, from)
  await fill(library, from, partitions, half)
  const aborted = await attempts(member, producer, to, 1, false)
  await member.close()
  member = await library.member(name, from) // resumes from the committed offsets: there are none
  const consumed = await attempts(member, producer, to, partitions * half, true)
  await fill(library, from, partitions, half)
  consumed.push(...(await attempts(member, producer, to, partitions * half, true)))
  inOrder(consumed, 0, partitions, 2 * half)
  await member.close()
  await producer.close()

  const plain = await library.producer()
  await plain.send(to, range(partitions).map(partition => ({ partition, value: Buffer.from('end') })))
  await plain.close()
  const output = await library.read(to, partitions, true, r => `${r.value}` === 'end')
  const want = byPartition(consumed, r => `out-${r.value}`)
  for (const values of Object.values(want)) values.push('end')
  assert.deepEqual(byPartition(output, r => `${r.value}`), want, 'output')
  // Kafka answers the commit before the offsets are there, and not every library asks for stable ones.
  const end = JSON.stringify(each(partitions, 2 * half))
  await until(async () => JSON.stringify(await library.committed(name, from)) === end)
  return `${2 * partitions * half} records, ${aborted.length} of them redone after an abort`
}

module.exports = { main, until, range }
