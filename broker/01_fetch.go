package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A fetchItem is one partition of a fetch as it was last looked at.
type fetchItem struct {
	part      *fetchPart
	topic     *topic // nil: unknown here
	partition *replication.Partition
	err       error

	leader               currentLeader // where err may tell of it
	highWatermark, start int64
	lastStable           int64
	// limit is the offset below which this reader may read.
	limit int64
	// diverging says that the reader's log left ours at epochEnd (KIP-595).
	diverging bool
	endEpoch  int32
	endOffset int64

	sent int // bytes of records in the answer
}

// available says that there are records to read.
func (i *fetchItem) available() bool {
	return i.err == nil && !i.diverging && i.part.asked.FetchOffset < i.limit
}

// A fetchReply is a Fetch that has waited enough. Its records are read when it
// is encoded, into the buffer that is sent.
type fetchReply struct {
	b         *Broker
	conn      *protocol.Conn
	version   int16
	committed bool // read_committed
	minBytes  int
	maxBytes  int
	fetching  fetching
	items     []fetchItem
	failure   error // of the whole request

	chosen []*fetchItem      // those that are answered
	moved  []<-chan struct{} // what wait waits for

	// measured is how many bytes the last reading found, -1 before; sizes are
	// those of the logs then.
	measured int
	sizes    int64
}

// fetchReplies holds those that were encoded, for the room of their lists.
var fetchReplies = sync.Pool{New: func() any { return new(fetchReply) }}

// emptyFetch lets a request be used again.
func emptyFetch(r *kmsg.FetchRequest) {
	clear(r.Topics)
	clear(r.ForgottenTopics)
	*r = kmsg.FetchRequest{Topics: r.Topics[:0], ForgottenTopics: r.ForgottenTopics[:0]}
}

// fetch: v4-18
//
//   - Stored batches are answered as they are, the first one whole even if it is
//     larger than the limits.
//   - Waits for MinBytes below the high watermark, or the last stable offset for
//     readers of committed data; it is woken by their moves, not by appends.
//   - Between the high watermark and the log end the answer is empty, not
//     OFFSET_OUT_OF_RANGE (hard-27).
//
// Versions: v4 isolation level; v5 log start; v7 sessions (KIP-227); v9 leader epochs (KIP-320); v11 rack (KIP-392); v12 diverging epoch; v13 topic ids (KIP-516); v15 replica state; v16 node endpoints (KIP-951).
func (b *Broker) fetch(ctx context.Context, req *kmsg.FetchRequest) (protocol.Reply, error) {
	r := fetchReplies.Get().(*fetchReply)
	r.b, r.conn, r.version, r.committed, r.measured = b, protocol.RequestFrom(ctx).Conn, req.Version, req.IsolationLevel == readCommitted, -1
	r.maxBytes = int(min(max(req.MaxBytes, 0), b.settings().fetchMaxBytes))
	r.minBytes = min(int(req.MinBytes), r.maxBytes) // as KafkaApis does: more never comes
	r.maxBytes = min(r.maxBytes, max(r.minBytes, replyLimit(b.server.writing.Load())))
	f, err := b.sessions.begin(req, b.settings().fetchSessionSlots)
	if err != nil {
		r.failure = err
		return r, nil
	}
	r.fetching = f
	r.items = slices.Grow(r.items, len(f.parts))[:len(f.parts)]
	if req.ReplicaID >= 0 || req.ReplicaState.ID >= 0 {
		r.refuseAll(fmt.Errorf("a client is no replica: %w", kerr.NotLeaderForPartition))
		return r, nil
	}
	r.wait(ctx, time.Duration(req.MaxWaitMillis)*time.Millisecond)
	r.findLeaders(ctx)
	return r, nil
}

const (
	// largestReply bounds the records of one answer, whatever the client would
	// take: larger ones are no faster and cost memory. It leaves room for the rest
	// of the answer within a buffer of 8 MiB.
	largestReply = 8<<20 - 128<<10
	// smallestReply is what an answer may hold however many wait to be read.
	smallestReply = 256 << 10
	// replyBudget is about what all answers together hold that their peers have
	// not read yet.
	replyBudget = 256 << 20
)

// replyLimit is how many bytes of records an answer may hold, when answers with
// so many bytes wait for their peers. A first batch goes out whole all the same,
// and a client that asks for more as the least is given it.
func replyLimit(writing int64) int {
	return int(min(max((replyBudget-writing)/16, smallestReply), largestReply))
}

func (r *fetchReply) refuseAll(err error) {
	for i, part := range r.fetching.parts {
		r.items[i] = fetchItem{part: part, err: err, leader: currentLeader{-1, -1}}
	}
}

// wait looks at the partitions until the answer is worth sending.
func (r *fetchReply) wait(ctx context.Context, maxWait time.Duration) {
	var timer *time.Timer
	began := time.Now()
	for {
		set := r.b.topics.load()
		r.moved = r.moved[:0]
		waits := maxWait > 0
		for i, part := range r.fetching.parts {
			item := &r.items[i]
			*item = fetchItem{part: part}
			item.topic, item.partition, item.err = set.resolve(part.key.name, part.key.id, r.version >= 13, part.key.partition)
			if item.err != nil {
				continue // the others are waited for all the same, as Kafka does
			}
			if waits {
				park(ctx, item.partition, min(maxWait, parkTime)-time.Since(began))
				r.moved = append(r.moved, item.partition.Moved())
			}
			r.look(item)
			if item.err != nil || item.diverging {
				waits = false
			}
		}
		if !waits || len(r.moved) == 0 || r.enough() {
			return
		}
		if timer == nil {
			timer = time.NewTimer(maxWait)
			defer timer.Stop()
		}
		if !waitAny(ctx, timer, r.moved) {
			return
		}
	}
}

// findLeaders finds who leads the partitions that are not on this node.
func (r *fetchReply) findLeaders(ctx context.Context) {
	var away []*topic
	for i := range r.items {
		item := &r.items[i]
		if r.version >= endpointsFetch && leaderHint(item.err) && item.partition == nil && !slices.Contains(away, item.topic) {
			away = append(away, item.topic)
		}
	}
	if len(away) == 0 {
		return
	}
	leader := r.b.leadersAway(ctx, away)
	for i := range r.items {
		if item := &r.items[i]; leaderHint(item.err) && item.partition == nil {
			item.leader = leader(item.topic, item.part.key.partition)
		}
	}
}

// look finds out what the partition has for this reader.
func (r *fetchReply) look(item *fetchItem) {
	p, asked := item.partition, &item.part.asked
	l := p.Leadership()
	item.leader = leaderHere(l)
	if item.err = checkEpoch(l, r.b.nodeID(), asked.CurrentLeaderEpoch); item.err != nil {
		return
	}
	// Read in this order, none is seen above the next: each of them only rises.
	item.start = p.StartOffset()
	item.lastStable = p.LastStableOffset()
	item.highWatermark = p.HighWatermark()
	item.limit = item.highWatermark
	if planted.Is(planted.FetchBeyondCommit) {
		item.limit = p.EndOffset()
	}
	if r.committed {
		item.limit = item.lastStable
	}
	if !l.Ready && !l.Stranded {
		item.limit = -1 // nothing yet (hard-31)
		return
	}
	r.compare(item)
	if (item.diverging || item.err != nil) && p.Fenced() {
		// Another may lead and know more: only the reader's own leader says so (hard-27).
		item.diverging, item.err = false, fmt.Errorf("a leader that hears no majority: %w", kerr.NotLeaderForPartition)
	}
}

// compare finds out whether the reader's offset, and the epoch of what it read
// before, are of this log.
func (r *fetchReply) compare(item *fetchItem) {
	p, asked := item.partition, &item.part.asked
	if asked.LastFetchedEpoch >= 0 {
		epoch, end := p.Log().EpochEnd(asked.LastFetchedEpoch)
		switch {
		case end < 0:
			item.err = kerr.OffsetOutOfRange
			return
		case epoch < asked.LastFetchedEpoch || end < asked.FetchOffset:
			item.diverging, item.endEpoch, item.endOffset = true, epoch, end
			return
		}
	}
	if end := p.EndOffset(); (asked.FetchOffset < item.start || asked.FetchOffset > end) && !planted.Is(planted.RangeUnchecked) {
		item.err = fmt.Errorf("offset %d, log is %d to %d: %w", asked.FetchOffset, item.start, end, kerr.OffsetOutOfRange)
	}
}

// enough says whether MinBytes can be answered.
func (r *fetchReply) enough() bool {
	if r.minBytes <= 0 {
		return true
	}
	any, size := false, int64(0)
	for i := range r.items {
		item := &r.items[i]
		if !item.available() {
			continue
		}
		if r.minBytes == 1 {
			return true
		}
		any = true
		size += item.partition.Log().Size()
	}
	if !any {
		return false
	}
	if r.measured >= 0 && size >= r.sizes && int64(r.measured)+size-r.sizes < int64(r.minBytes) {
		return false // not even with all that was appended since
	}
	r.measured, r.sizes = r.measure(), size
	return r.measured >= r.minBytes
}

// measure reads what would be answered and counts it, up to MinBytes.
func (r *fetchReply) measure() int {
	scratch := r.b.buffers.take(r.minBytes)
	left, total := r.maxBytes, 0
	for i := range r.items {
		item := &r.items[i]
		if !item.available() || total >= r.minBytes {
			continue
		}
		scratch = r.read(scratch[:0], item, left, total == 0)
		total += len(scratch)
		left = max(0, left-len(scratch))
	}
	r.b.buffers.put(scratch)
	return total
}

// read appends an item's records to dst. What goes wrong becomes the item's error.
func (r *fetchReply) read(dst []byte, item *fetchItem, left int, first bool) []byte {
	asked := &item.part.asked
	most := min(int(max(asked.PartitionMaxBytes, 0)), left)
	if most == 0 && !first {
		return dst
	}
	read, err := item.partition.Log().Read(dst, asked.FetchOffset, item.limit, most, first && !planted.Is(planted.FirstBatchCut))
	if err != nil {
		item.err = r.b.readError(item, err)
		return dst
	}
	return read
}
