package broker_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// What a hostile client sends, row by row. Each row has a broker of its own in a
// bubble; what it must do is what Apache Kafka 4.3.1 was seen to do with the
// same bytes, or stricter. To see what another broker does with them:
//
//	go test ./broker -run TestHostile -hostile localhost:9092
var hostileFlag = flag.String("hostile", "", "send the hostile rows to the broker at this address and expect what Apache Kafka answers")

// A hostileRow is one bad input.
type hostileRow struct {
	number int
	what   string
	// send builds the bytes for a fresh connection; check, where there is one,
	// judges the answer further. run replaces both where one write is not enough.
	send  func(*hostile) []byte
	check func(*hostile, kmsg.Response)
	run   func(*hostile)
	want  outcome
	kafka outcome // where Kafka is more lenient
	set   map[string]string
}

// An outcome is what became of a connection: closed without an answer, still
// open without one, or the first error code in the answer.
type outcome int

const (
	asWanted outcome = iota
	closed
	silent
	firstCode
)

// code is the outcome of an answer with an error code; 0 has none.
func code(n int16) outcome { return firstCode + outcome(n) + 1 } // -1 is UNKNOWN_SERVER_ERROR

func (o outcome) String() string {
	switch {
	case o == closed:
		return "connection closed"
	case o == silent:
		return "no answer"
	case o == code(0):
		return "no error"
	}
	return kerr.ErrorForCode(int16(o - code(0))).Error()
}

// patience is how long an answer or the end of a connection may take.
const patience = 5 * time.Second

// A hostile is the client of one row.
type hostile struct {
	*testing.T
	connect func() (net.Conn, error)
	address string
	kafka   bool
	server  *brokertest.Server // nil: another program
	topic   string             // exists, with one partition
	topicID [16]byte
	honest  net.Conn
}

// play runs rows, each in a bubble, or all against the broker of the flag. After
// each row another connection, opened before, must still be served, and a new one.
func play(t *testing.T, rows []hostileRow) {
	for _, row := range rows {
		t.Run(fmt.Sprintf("%03d %s", row.number, row.what), func(t *testing.T) {
			if *hostileFlag != "" {
				if row.set != nil || row.want == asWanted && row.run == nil {
					t.Skip("needs settings of ours")
				}
				dial := func() (net.Conn, error) { return net.Dial("tcp", *hostileFlag) }
				row.play(&hostile{T: t, connect: dial, address: *hostileFlag, kafka: true})
				return
			}
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := brokertest.Start(t, brokertest.Options{Properties: row.set})
				dial := func() (net.Conn, error) { return s.Dial(t.Context(), "tcp", s.Address()) }
				row.play(&hostile{T: t, connect: dial, address: s.Address(), server: s})
			})
		})
	}
}

func (r *hostileRow) play(h *hostile) {
	h.topic = fmt.Sprintf("hostile-%d-%d", r.number, time.Now().UnixNano())
	h.createTopic()
	bystander, began := h.dial(), time.Now()
	if r.run != nil {
		r.run(h)
	} else {
		r.judge(h)
	}
	for what, c := range map[string]net.Conn{"opened before": bystander, "opened after": h.dial()} {
		if c == bystander && time.Since(began) > patience {
			continue // it was idle for too long itself
		}
		if got, _ := h.outcome(c, frame(versionsRequest())); got != code(0) {
			h.Errorf("a connection %s has %v", what, got)
		}
	}
}

// settling are the errors of a partition or a coordinator that was made just now.
var settling = []outcome{code(kerr.NotLeaderForPartition.Code), code(kerr.UnknownLeaderEpoch.Code), code(kerr.CoordinatorNotAvailable.Code), code(kerr.CoordinatorLoadInProgress.Code), code(kerr.NotCoordinator.Code)}

// judge compares what becomes of the connection with what should.
func (r *hostileRow) judge(h *hostile) {
	want := r.want
	if h.kafka && r.kafka != asWanted {
		want = r.kafka
	}
	var got outcome
	var answer kmsg.Response
	for range 50 {
		got, answer = h.outcome(h.dial(), r.send(h))
		if got == want || !slices.Contains(settling, got) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got != want {
		h.Errorf("got %v, want %v: %+v", got, want, answer)
	} else if r.check != nil {
		r.check(h, answer)
	}
}

func (h *hostile) dial() net.Conn {
	h.Helper()
	c, err := h.connect()
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = c.Close() }) // it may be closed already
	return c
}

// outcome sends bytes and sees what becomes of them.
func (h *hostile) outcome(c net.Conn, sent []byte) (outcome, kmsg.Response) {
	h.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		h.Fatal(err)
	}
	if _, err := c.Write(sent); err != nil && !gone(err) {
		h.Fatal(err)
	}
	return h.result(c, sent)
}

// result waits for the answer to what was sent.
func (h *hostile) result(c net.Conn, sent []byte) (outcome, kmsg.Response) {
	h.Helper()
	answer, err := readFrame(c)
	var wait net.Error
	switch {
	case gone(err):
		return closed, nil
	case errors.As(err, &wait) && wait.Timeout():
		return silent, nil
	case err != nil:
		h.Fatal(err)
	}
	resp, err := decode(sent, answer)
	if err != nil {
		h.Fatalf("answer of %d bytes: %v", len(answer), err)
	}
	return code(firstError(reflect.ValueOf(resp))), resp
}

// gone says whether the peer has closed the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ask is a request that must be answered, on a connection kept for such.
func (h *hostile) ask(r kmsg.Request) kmsg.Response {
	h.Helper()
	if h.honest == nil {
		h.honest = h.dial()
	}
	got, resp := h.outcome(h.honest, frame(r))
	if resp == nil {
		h.Fatalf("%s: %v", kmsg.NameForKey(r.Key()), got)
	}
	return resp
}

// must asks until there is no error.
func (h *hostile) must(r kmsg.Request) kmsg.Response {
	h.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		resp := h.ask(r)
		n := firstError(reflect.ValueOf(resp))
		if n == 0 {
			return resp
		}
		if err := kerr.ErrorForCode(n); !kerr.IsRetriable(err) || time.Since(began) > time.Minute {
			h.Fatalf("%s: %v", kmsg.NameForKey(r.Key()), err)
		}
	}
}

func (h *hostile) createTopic() {
	h.Helper()
	h.topicID = h.must(creation(h.topic, 1)).(*kmsg.CreateTopicsResponse).Topics[0].TopicID
	ready := kmsg.NewPtrMetadataRequest()
	ready.Version, ready.Topics = 8, []kmsg.MetadataRequestTopic{{Topic: &h.topic}}
	h.must(ready)
}

// frame encodes a request at the version set in it, with its length.
func frame(r kmsg.Request) []byte { return kmsg.NewRequestFormatter().AppendRequest(nil, r, 7) }

// readFrame reads one answer without its length.
func readFrame(c net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, answer)
	return answer, err
}

// decode reads an answer by the header of the request it belongs to.
func decode(sent, answer []byte) (kmsg.Response, error) {
	key, version := int16(binary.BigEndian.Uint16(sent[4:])), int16(binary.BigEndian.Uint16(sent[6:]))
	resp := kmsg.ResponseForKey(key)
	if resp == nil {
		return nil, fmt.Errorf("key %d has no answer", key)
	}
	if version > resp.MaxVersion() {
		version = 0 // ApiVersions
	}
	resp.SetVersion(version)
	if string(answer[:4]) != string(sent[8:12]) {
		return nil, fmt.Errorf("correlation id %x, want %x", answer[:4], sent[8:12])
	}
	body := answer[4:]
	if resp.IsFlexible() && key != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// firstError finds the first error code other than 0, in the order of fields.
func firstError(v reflect.Value) int16 {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return firstError(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if n := firstError(v.Index(i)); n != 0 {
				return n
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "ErrorCode" {
				if n := int16(v.Field(i).Int()); n != 0 {
					return n
				}
			} else if n := firstError(v.Field(i)); n != 0 {
				return n
			}
		}
	}
	return 0
}

func versionsRequest() *kmsg.ApiVersionsRequest {
	r := kmsg.NewPtrApiVersionsRequest()
	r.Version, r.ClientSoftwareName, r.ClientSoftwareVersion = 3, "hostile", "1"
	return r
}

func creation(name string, partitions int32) *kmsg.CreateTopicsRequest {
	r := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	r.Version, r.TimeoutMillis, r.Topics = 7, 30_000, []kmsg.CreateTopicsRequestTopic{topic}
	return r
}
