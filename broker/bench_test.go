package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/record"
)

// A wire is a connection's socket whose peer is the benchmark: what is asked
// through it is served by the connection's own code, in the benchmark's
// goroutine, with no socket in between.
type wire struct {
	net.Conn
	conn   *conn
	asked  []byte // not read yet
	answer []byte
}

func newWire(tb testing.TB, b *Broker) *wire {
	w := new(wire)
	info := &protocol.Conn{ID: 1, Listener: "PLAINTEXT", Local: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092}, Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}}
	w.conn = newConn(b.server, w, info)
	tb.Cleanup(func() { w.conn.cancel(errPeerGone) })
	return w
}

// Read gives what was asked. Whoever reads ahead finds that nothing came in time.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.asked) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, w.asked)
	w.asked = w.asked[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.answer = append(w.answer[:0], p...)
	return len(p), nil
}

func (*wire) SetReadDeadline(time.Time) error  { return nil }
func (*wire) SetWriteDeadline(time.Time) error { return nil }

// ask is one turn of conn.run.
func (w *wire) ask(tb testing.TB, frame []byte) {
	w.asked = frame
	got, err := w.conn.next()
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.conn.answer(got); err != nil {
		tb.Fatal(err)
	}
	w.conn.server.buffers.put(got)
}

// decode reads the last answer.
func decode[R kmsg.Response](tb testing.TB, w *wire, version int16, as R) R {
	tb.Helper()
	as.SetVersion(version)
	body := w.answer[8:]
	if as.IsFlexible() {
		body = body[1:]
	}
	if err := as.ReadFrom(body); err != nil {
		tb.Fatal(err)
	}
	return as
}

func frameOf(r kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, r, 1)
}

func noError(tb testing.TB, code int16) {
	tb.Helper()
	if err := kerr.ErrorForCode(code); err != nil {
		tb.Fatal(err)
	}
}

// onDisk is a broker whose log lies on the disk, as that of a server does.
func onDisk(tb testing.TB) *Broker {
	b, _ := openOn(tb, vfs.OS, map[string]string{"log.dirs": tb.TempDir()})
	return b
}

// A producer asks to append one batch again and again, with the next sequence
// each time where it is idempotent.
type producer struct {
	*wire
	frame    []byte
	batch    record.Batch // within frame
	sequence int32
}

// Where the fields lie that change from one batch of a producer to the next.
const (
	crcAt      = 17
	checkedAt  = 21 // what the CRC covers
	producerAt = 43
	epochAt    = 51
	sequenceAt = 53
)

func newProducer(tb testing.TB, b *Broker, options record.BuilderOptions, size int, txid *string) *producer {
	t := withTopic(tb, b, "t", 1)
	batch := batchOf(options, strings.Repeat("x", size))
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis, r.TransactionID = 13, -1, 30_000, txid
	rt := kmsg.NewProduceRequestTopic()
	rt.TopicID = t.ID
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = batch
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	p := &producer{wire: newWire(tb, b), frame: frameOf(r), sequence: batch.BaseSequence()}
	at := bytes.Index(p.frame, batch)
	p.batch = p.frame[at : at+len(batch)]
	return p
}

func (p *producer) produce(tb testing.TB) {
	if p.sequence >= 0 {
		binary.BigEndian.PutUint32(p.batch[sequenceAt:], uint32(p.sequence))
		binary.BigEndian.PutUint32(p.batch[crcAt:], crc32.Checksum(p.batch[checkedAt:], castagnoli))
		p.sequence++
	}
	p.ask(tb, p.frame)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p *producer) check(tb testing.TB) {
	tb.Helper()
	noError(tb, decode(tb, p.wire, 13, kmsg.NewPtrProduceResponse()).Topics[0].Partitions[0].ErrorCode)
}

// producerID takes a producer id from the broker.
func producerID(tb testing.TB, b *Broker, txid *string) record.BuilderOptions {
	r := kmsg.NewPtrInitProducerIDRequest()
	r.Version, r.TransactionalID, r.TransactionTimeoutMillis = 5, txid, 600_000
	got := ask(tb, b, r, kmsg.NewPtrInitProducerIDResponse())
	noError(tb, got.ErrorCode)
	return record.BuilderOptions{ProducerID: got.ProducerID, ProducerEpoch: got.ProducerEpoch, Transactional: txid != nil}
}

// BenchmarkProduce is a frame to its answer, acks=all, one voter, the log on disk.
func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		for _, idempotent := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%dKiB/idempotent=%t", size>>10, idempotent), func(b *testing.B) {
				server, options := onDisk(b), record.NoProducer()
				if idempotent {
					options = producerID(b, server, nil)
				}
				p := newProducer(b, server, options, size, nil)
				b.SetBytes(int64(len(p.frame)))
				b.ReportAllocs()
				for b.Loop() {
					p.produce(b)
				}
				p.check(b)
			})
		}
	}
}

// A fetcher asks in a session for the same records again and again.
type fetcher struct {
	*wire
	frame   []byte
	session int32
	epoch   int32
}

const fetchVersion = 17

// newFetcher writes so many batches and opens a session that reads them.
func newFetcher(tb testing.TB, b *Broker, batches, size int, isolation int8) *fetcher {
	p := newProducer(tb, b, record.NoProducer(), size, nil)
	for range batches {
		p.produce(tb)
	}
	p.check(tb)
	t := withTopic(tb, b, "t", 1)
	r := getting(fetchVersion, t, 0)
	r.SessionEpoch, r.IsolationLevel = 0, isolation
	if size == 0 {
		r.Topics[0].Partitions[0].FetchOffset = int64(batches)
	}
	f := &fetcher{wire: newWire(tb, b)}
	f.wire.ask(tb, frameOf(r))
	opened := decode(tb, f.wire, fetchVersion, kmsg.NewPtrFetchResponse())
	noError(tb, opened.ErrorCode)
	r.SessionID, r.SessionEpoch = opened.SessionID, 1
	f.frame, f.session, f.epoch = frameOf(r), r.SessionID, 1
	return f
}

// sessionEpochAt is where a Fetch holds it: after the prefix, the header with
// the client id and no tags, max wait, min and max bytes, isolation and session id.
const sessionEpochAt = 4 + 8 + 2 + len("bench") + 1 + 4 + 4 + 4 + 1 + 4

func (f *fetcher) fetch(tb testing.TB) {
	binary.BigEndian.PutUint32(f.frame[sessionEpochAt:], uint32(f.epoch))
	f.epoch++
	f.ask(tb, f.frame)
}

func (f *fetcher) check(tb testing.TB, least int) {
	tb.Helper()
	got := decode(tb, f.wire, fetchVersion, kmsg.NewPtrFetchResponse())
	noError(tb, got.ErrorCode)
	size := 0
	for _, t := range got.Topics {
		for _, p := range t.Partitions {
			noError(tb, p.ErrorCode)
			size += len(p.RecordBatches)
		}
	}
	if size < least {
		tb.Fatalf("answered %d bytes of records, want %d", size, least)
	}
}

// BenchmarkFetch is a frame to its answer in a session: records from the disk's
// cache, or at the end of the log nothing.
func BenchmarkFetch(b *testing.B) {
	for _, c := range []struct{ batches, size, least int }{{1, 1 << 10, 1 << 10}, {64, 16 << 10, 1000 << 10}, {1, 0, 0}} {
		for isolation, level := range []string{"uncommitted", "committed"} {
			b.Run(fmt.Sprintf("batches=%d/batch=%dKiB/read=%s", c.batches, c.size>>10, level), func(b *testing.B) {
				f := newFetcher(b, onDisk(b), c.batches, c.size, int8(isolation))
				f.fetch(b)
				f.check(b, c.least)
				b.SetBytes(int64(len(f.answer)))
				b.ReportAllocs()
				for b.Loop() {
					f.fetch(b)
				}
				f.check(b, c.least)
			})
		}
	}
}

// BenchmarkListOffsets asks for the end of one partition.
func BenchmarkListOffsets(b *testing.B) {
	server := onDisk(b)
	withTopic(b, server, "t", 1)
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID = 8, -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = latest
	r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	w, frame := newWire(b, server), frameOf(r)
	b.ReportAllocs()
	for b.Loop() {
		w.ask(b, frame)
	}
	noError(b, decode(b, w, 8, kmsg.NewPtrListOffsetsResponse()).Topics[0].Partitions[0].ErrorCode)
}

// BenchmarkHeartbeat is of the only member of a group.
func BenchmarkHeartbeat(b *testing.B) {
	server := onDisk(b)
	if err := server.ensureInternal(b.Context(), offsetsTopic); err != nil {
		b.Fatal(err)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 9, "g", "consumer", 1_800_000, 60_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	joined := ask(b, server, join, kmsg.NewPtrJoinGroupResponse())
	if joined.ErrorCode == kerr.MemberIDRequired.Code {
		join.MemberID = joined.MemberID
		joined = ask(b, server, join, kmsg.NewPtrJoinGroupResponse())
	}
	noError(b, joined.ErrorCode)
	synced := kmsg.NewPtrSyncGroupRequest()
	synced.Version, synced.Group, synced.Generation, synced.MemberID = 4, "g", joined.Generation, joined.MemberID
	synced.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID}}
	noError(b, ask(b, server, synced, kmsg.NewPtrSyncGroupResponse()).ErrorCode)
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version, r.Group, r.Generation, r.MemberID = 4, "g", joined.Generation, joined.MemberID
	w, frame := newWire(b, server), frameOf(r)
	b.ReportAllocs()
	for b.Loop() {
		w.ask(b, frame)
	}
	noError(b, decode(b, w, 4, kmsg.NewPtrHeartbeatResponse()).ErrorCode)
}

// BenchmarkTransaction is a Produce that joins its partition to the transaction
// (KIP-890) and the EndTxn that commits it.
func BenchmarkTransaction(b *testing.B) {
	server := onDisk(b)
	if err := server.ensureInternal(b.Context(), txnTopic); err != nil {
		b.Fatal(err)
	}
	id := "bench"
	p := newProducer(b, server, producerID(b, server, &id), 1<<10, &id)
	r := kmsg.NewPtrEndTxnRequest()
	r.Version, r.TransactionalID, r.Commit = 5, id, true
	r.ProducerID, r.ProducerEpoch = p.batch.ProducerID(), p.batch.ProducerEpoch()
	end := newWire(b, server)
	b.ReportAllocs()
	for b.Loop() {
		p.sequence = 0
		p.produce(b)
		p.check(b)
		end.ask(b, frameOf(r))
		ended := decode(b, end, 5, kmsg.NewPtrEndTxnResponse())
		noError(b, ended.ErrorCode)
		r.ProducerID, r.ProducerEpoch = ended.ProducerID, ended.ProducerEpoch
		binary.BigEndian.PutUint64(p.batch[producerAt:], uint64(r.ProducerID))
		binary.BigEndian.PutUint16(p.batch[epochAt:], uint16(r.ProducerEpoch))
	}
}
