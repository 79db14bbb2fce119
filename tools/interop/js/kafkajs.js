// The cells with kafkajs, which reads only in groups.
'use strict'
process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1' // each message names its partition
const { Kafka, logLevel } = require('kafkajs')
const { main, until, range } = require('./cells')

const soon = { heartbeatInterval: 500, maxWaitTimeInMs: 100 }

class Library {
  constructor(bootstrap) {
    const logCreator = () => ({ namespace, log: { timestamp, logger, ...rest } }) =>
      process.stderr.write(`${namespace ?? 'kafkajs'} ${JSON.stringify(rest)}\n`)
    this.kafka = new Kafka({ brokers: [bootstrap], clientId: 'interop', logLevel: logLevel.WARN, logCreator })
    this.admin = this.kafka.admin()
    this.readers = 0
  }

  async createTopic(topic, numPartitions) {
    await this.admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }], waitForLeaders: true })
  }

  async highWatermarks(topic) {
    return offsets(await this.admin.fetchTopicOffsets(topic))
  }

  async committed(groupId, topic) {
    const [fetched] = await this.admin.fetchOffsets({ groupId, topics: [topic] })
    return offsets(fetched.partitions)
  }

  async read(topic, partitions, committedOnly, isLast) {
    const member = await this.member(`${topic}-read-${this.readers++}`, topic, { readUncommitted: !committedOnly })
    const records = []
    await until(async () => {
      records.push(...(await member.poll()))
      return records.filter(isLast).length === partitions
    })
    await member.close()
    return records
  }

  async producer(transactionalId) {
    const producer = this.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId })
    await producer.connect()
    return new Producer(producer)
  }

  async member(groupId, topic, settings = {}) {
    const member = new Member(this.kafka.consumer({ groupId, ...soon, ...settings }), groupId, topic)
    await member.start()
    return member
  }
}

const offsets = list => Object.fromEntries(list.map(o => [o.partition, Number(o.offset)]))

// A Producer sends inside its transaction, if one is open.
class Producer {
  constructor(producer) {
    this.producer = producer
    this.transaction = null
  }

  async send(topic, messages) {
    await (this.transaction ?? this.producer).send({ topic, messages, acks: -1 })
  }

  async begin() {
    this.transaction = await this.producer.transaction()
  }

  async sendOffsets(ends, member) {
    const partitions = Object.entries(ends).map(([p, offset]) => ({ partition: Number(p), offset: `${offset}` }))
    await this.transaction.sendOffsets({ consumerGroupId: member.groupId, topics: [{ topic: member.topic, partitions }] })
  }

  async commit() {
    await this.transaction.commit()
    this.transaction = null
  }

  async abort() {
    await this.transaction.abort()
    this.transaction = null
  }

  async close() {
    await this.producer.disconnect()
  }
}

// A Member keeps what its consumer is given until it is polled.
class Member {
  constructor(consumer, groupId, topic) {
    Object.assign(this, { consumer, groupId, topic, received: [], next: {}, mine: [] })
  }

  async start() {
    const { GROUP_JOIN, REBALANCING } = this.consumer.events
    this.consumer.on(GROUP_JOIN, e => (this.mine = e.payload.memberAssignment[this.topic] ?? []))
    this.consumer.on(REBALANCING, () => (this.mine = []))
    await this.consumer.connect()
    await this.consumer.subscribe({ topics: [this.topic], fromBeginning: true })
    await this.consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message: { offset, key, value, headers } }) => {
        this.received.push({ partition, key, value, headers: { ...headers }, offset: Number(offset) })
      },
    })
  }

  assigned() {
    return this.mine.length
  }

  async poll() {
    await new Promise(resolve => setTimeout(resolve, 100))
    const records = this.received
    this.received = []
    for (const r of records) this.next[r.partition] = r.offset + 1
    return records
  }

  async commit() {
    const ends = this.mine.map(partition => ({ topic: this.topic, partition, offset: `${this.next[partition]}` }))
    await this.consumer.commitOffsets(ends)
  }

  async close() {
    await this.consumer.disconnect()
  }
}

main(async bootstrap => {
  const library = new Library(bootstrap)
  await library.admin.connect()
  return library
})
