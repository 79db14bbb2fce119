package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

// AppendTo encodes the answer. Records are read from the log to their place in
// the frame: a Fetch copies them once from the disk's cache and once to the socket.
func (r *fetchReply) AppendTo(dst []byte) ([]byte, error) {
	defer r.release()
	r.choose()
	e := encoder{b: r.grow(dst), flexible: r.version >= 12}
	e.int32(0) // throttle time
	if r.version >= 7 {
		e.int16(protocol.Code(r.failure))
		e.int32(r.fetching.id)
	}
	groups := 0
	for rest := r.chosen; len(rest) > 0; rest = rest[sameTopic(rest):] {
		groups++
	}
	e.count(groups)
	left, total := r.maxBytes, 0
	for rest := r.chosen; len(rest) > 0; {
		group := rest[:sameTopic(rest)]
		rest = rest[len(group):]
		if key := group[0].part.key; r.version >= 13 {
			e.b = append(e.b, key.id[:]...)
		} else {
			e.string(key.name)
		}
		e.count(len(group))
		for _, item := range group {
			r.encodePart(&e, item, left, total == 0)
			left = max(0, left-item.sent)
			total += item.sent
		}
		e.tags()
	}
	r.b.endpoints(&e, r.conn)
	return e.b, nil
}

// release gives the session and the reply back.
func (r *fetchReply) release() {
	r.b.sessions.end(r.fetching, func(i int) bool { return r.items[i].sent > 0 })
	clear(r.items)
	clear(r.chosen)
	clear(r.moved)
	*r = fetchReply{items: r.items[:0], chosen: r.chosen[:0], moved: r.moved[:0]}
	fetchReplies.Put(r)
}

// choose lists the items to answer: all, or in an incremental session those
// that have something to tell.
func (r *fetchReply) choose() {
	for i := range r.items {
		item := &r.items[i]
		part := item.part
		news := item.err != nil || item.diverging || item.available() || !part.told ||
			part.highWatermark != item.highWatermark || part.startTold != item.start
		if news || !r.fetching.incremental || planted.Is(planted.SessionTellsAll) {
			r.chosen = append(r.chosen, item)
		}
	}
}

// sameTopic counts the items at the front that are of one topic. The order stays
// as it is, so a topic may come twice, as in Kafka.
func sameTopic(items []*fetchItem) int {
	n := 1
	for n < len(items) && items[n].part.key.name == items[0].part.key.name && items[n].part.key.id == items[0].part.key.id {
		n++
	}
	return n
}

// grow exchanges dst for a pooled buffer that probably holds the whole answer.
func (r *fetchReply) grow(dst []byte) []byte {
	size := 1 << 10
	for i := range r.items {
		item := &r.items[i]
		size += 64
		if !item.available() {
			continue
		}
		l := item.partition.Log()
		perOffset := l.Size()/max(1, l.EndOffset()-l.StartOffset()) + 1
		size += int(min(int64(item.part.asked.PartitionMaxBytes), perOffset*(item.limit-item.part.asked.FetchOffset)*5/4+1<<10))
	}
	size = min(size, r.maxBytes+64<<10)
	if size <= cap(dst) {
		return dst
	}
	return append(r.b.buffers.take(size), dst...)
}

// encodePart appends one partition's answer and notes what was told.
func (r *fetchReply) encodePart(e *encoder, item *fetchItem, left int, first bool) {
	at := len(e.b)
	ok := item.err == nil
	r.encodeHead(e, item)
	if ok && item.available() {
		r.encodeRecords(e, item, left, first)
	} else {
		e.emptyRecords(r.version, r.committed && ok && item.topic != nil)
	}
	if ok && item.err != nil { // reading failed
		e.b = e.b[:at]
		r.encodeHead(e, item)
		e.emptyRecords(r.version, false)
	}
	r.encodeTags(e, item)
	part := item.part
	part.told, part.highWatermark, part.startTold = item.err == nil, item.highWatermark, item.start
}

// encodeHead appends what comes before the aborted transactions.
func (r *fetchReply) encodeHead(e *encoder, item *fetchItem) {
	e.int32(item.part.key.partition)
	e.int16(protocol.Code(item.err))
	hw, lso, start := item.highWatermark, item.lastStable, item.start
	if item.err != nil {
		hw, lso, start = -1, -1, -1
	}
	e.int64(hw)
	e.int64(lso)
	if r.version >= 5 {
		e.int64(start)
	}
}

// encodeRecords appends the aborted transactions and the records. The records
// are read first, since they decide how far the list must reach; a list that is
// not empty then moves them up.
func (r *fetchReply) encodeRecords(e *encoder, item *fetchItem, left int, first bool) {
	at := len(e.b)
	e.aborted(nil, r.committed)
	if r.version >= 11 {
		e.int32(-1) // preferred read replica
	}
	guess := min(int(item.part.asked.PartitionMaxBytes), left)
	prefix := e.lengthSize(guess)
	begin := len(e.b) + prefix
	e.b = r.read(slices.Grow(e.b, prefix)[:begin], item, left, first)
	if item.err != nil {
		return
	}
	item.sent = len(e.b) - begin
	e.putLength(begin, prefix, item.sent)
	if item.sent > 0 {
		item.topic.counters.bytesOut.Add(float64(item.sent))
	}
	if !r.committed || item.sent == 0 {
		return
	}
	aborted, err := abortedWithin(item, e.b[len(e.b)-item.sent:])
	if err != nil {
		item.err, item.sent = r.b.readError(item, err), 0
		return
	}
	e.insertAborted(at, aborted)
}

// abortedWithin lists the aborted transactions that touch what was read.
func abortedWithin(item *fetchItem, records []byte) ([]log.AbortedTxn, error) {
	end := item.part.asked.FetchOffset
	for len(records) > 0 {
		batch, err := record.Peek(records)
		if err != nil {
			return nil, err
		}
		end = batch.NextOffset()
		records = records[batch.Size():]
	}
	return item.partition.Log().Aborted(item.part.asked.FetchOffset, end, nil)
}

// encodeTags appends the tagged fields of a partition (v12+).
func (r *fetchReply) encodeTags(e *encoder, item *fetchItem) {
	if !e.flexible {
		return
	}
	switch {
	case item.diverging:
		e.pairTag(0, func() { e.int32(item.endEpoch); e.int64(item.endOffset) })
	case r.version >= endpointsFetch && leaderHint(item.err):
		e.leader(1, item.leader)
	default:
		e.tags()
	}
}

// readError turns an error of the log into one for the reader.
func (b *Broker) readError(item *fetchItem, err error) error {
	switch {
	case errors.Is(err, log.ErrOutOfRange):
		return fmt.Errorf("%w: %w", err, kerr.OffsetOutOfRange)
	case errors.Is(err, log.ErrClosed):
		return fmt.Errorf("%w: %w", err, kerr.NotLeaderForPartition)
	case errors.Is(err, log.ErrCorrupt), errors.Is(err, record.ErrCorrupt):
		b.logger.Error("stored records are corrupt", "topic", item.topic.Name, "partition", item.part.key.partition, "offset", item.part.asked.FetchOffset, "error", err)
		return fmt.Errorf("%w: %w", err, kerr.CorruptMessage)
	}
	b.logger.Error("records cannot be read", "topic", item.topic.Name, "partition", item.part.key.partition, "offset", item.part.asked.FetchOffset, "error", err)
	return fmt.Errorf("%w: %w", err, kerr.KafkaStorageError)
}

// aborted appends the list of aborted transactions: null for readers of
// uncommitted data, who need none.
func (e *encoder) aborted(list []log.AbortedTxn, committed bool) {
	if !committed || planted.Is(planted.NullLists) {
		e.count(-1)
		return
	}
	e.count(len(list))
	for _, txn := range list {
		e.int64(txn.ProducerID)
		e.int64(txn.FirstOffset)
		e.tags()
	}
}

// insertAborted puts a list in the place of the empty one at at.
func (e *encoder) insertAborted(at int, list []log.AbortedTxn) {
	if len(list) == 0 {
		return
	}
	filled := encoder{flexible: e.flexible}
	filled.aborted(list, true)
	e.b = slices.Replace(e.b, at, at+e.emptyListSize(), filled.b...)
}

// emptyListSize is the size of a list without elements.
func (e *encoder) emptyListSize() int {
	if e.flexible {
		return 1
	}
	return 4
}

// emptyRecords appends what follows the head when there are no records.
func (e *encoder) emptyRecords(version int16, committed bool) {
	e.aborted(nil, committed)
	if version >= 11 {
		e.int32(-1) // preferred read replica
	}
	e.count(0)
}

// lengthSize is how many bytes the length of records probably takes.
func (e *encoder) lengthSize(guess int) int {
	if !e.flexible {
		return 4
	}
	return uvarintSize(max(guess, 0) + 1)
}

// putLength writes the length of the records that begin at begin into the
// prefix bytes before them; if it needs another number of bytes, they move.
func (e *encoder) putLength(begin, prefix, length int) {
	if !e.flexible {
		binary.BigEndian.PutUint32(e.b[begin-4:], uint32(length))
		return
	}
	need := uvarintSize(length + 1)
	if need != prefix {
		records := e.b[begin:]
		e.b = slices.Grow(e.b, need)[:begin-prefix+need+length]
		copy(e.b[begin-prefix+need:], records)
	}
	binary.PutUvarint(e.b[begin-prefix:], uint64(length+1))
}

func uvarintSize(v int) int {
	n := 1
	for ; v >= 1<<7; v >>= 7 {
		n++
	}
	return n
}
