package broker_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is bytes as they stand.
func wire(b string) func(*hostile) []byte { return func(*hostile) []byte { return []byte(b) } }

// sized is a frame of a key and version: the correlation id 7 and no client
// id, then these bytes.
func sized(key, version int16, rest string) func(*hostile) []byte {
	return func(*hostile) []byte { return header(key, version, "\xff\xff"+rest) }
}

func header(key, version int16, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(binary.BigEndian.AppendUint32(b, 7), rest...)
}

// asked is a request that kmsg can encode.
func asked(r kmsg.Request) func(*hostile) []byte { return func(*hostile) []byte { return frame(r) } }

// tlsHello begins a handshake of TLS 1.2.
const tlsHello = "\x16\x03\x01\x00\x4a\x01\x00\x00\x46\x03\x03"

func TestHostileFrames(t *testing.T) {
	play(t, []hostileRow{
		{number: 1, what: "length -1", send: wire("\xff\xff\xff\xff"), want: closed},
		{number: 2, what: "length 0", send: wire("\x00\x00\x00\x00"), want: closed},
		{number: 3, what: "length 2147483647, then nothing", send: wire("\x7f\xff\xff\xff"), want: closed},
		{number: 4, what: "one byte above socket.request.max.bytes, then nothing", send: wire("\x06\x40\x00\x01"), want: closed},
		{number: 5, what: "length 5", send: wire("\x00\x00\x00\x05\x00\x03\x00\x00\x00"), want: closed},
		{number: 6, what: "HTTP", send: wire("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), want: closed},
		{number: 7, what: "a TLS hello", send: wire(tlsHello + strings.Repeat("\x5a", 68)), want: closed},
		{number: 8, what: "key 9999", send: sized(9999, 0, ""), want: closed},
		{number: 9, what: "key -1", send: sized(-1, 0, ""), want: closed},
		{number: 10, what: "Metadata 99", send: sized(3, 99, ""), want: closed},
		{number: 11, what: "Metadata -1", send: sized(3, -1, ""), want: closed},
		{number: 12, what: "ApiVersions 99", send: sized(18, 99, "\x00"), want: code(35), check: onlyItsOwnRange},
		{number: 13, what: "client id length -2", send: func(*hostile) []byte { return header(3, 0, "\xff\xfe\x00\x00\x00\x00") }, want: closed, kafka: code(0)},
		{number: 14, what: "client id of 32767 bytes that are not there", send: func(*hostile) []byte { return header(3, 0, "\x7f\xff") }, want: closed},
		{number: 15, what: "WriteTxnMarkers of none", send: asked(markers()), want: code(0)}, // see 27_write_txn_markers.go for who may write which
		{number: 15, what: "AlterPartition, an API between brokers", send: sized(56, 2, ""), want: closed},
		{number: 16, what: "a request byte by byte", run: byteByByte},
		{number: 17, what: "50 requests at once", run: pipelined},
		{number: 18, what: "500 idle connections", run: manyIdle},
	})
}

func TestHostileBodies(t *testing.T) {
	play(t, []hostileRow{
		{number: 19, what: "array length -2", send: sized(3, 1, "\xff\xff\xff\xfe"), want: closed, kafka: code(0)},
		{number: 20, what: "array length 2147483647", send: sized(3, 1, "\x7f\xff\xff\xff"), want: closed},
		{number: 21, what: "a string longer than the frame", send: sized(3, 1, "\x00\x00\x00\x01\x7f\xffa"), want: closed},
		{number: 22, what: "bytes after the request", send: sized(3, 1, "\x00\x00\x00\x00junk"), want: closed, kafka: code(0)},
		{number: 23, what: "a varint without end", send: sized(3, 12, "\x00"+strings.Repeat("\xff", 100)), want: closed},
		{number: 24, what: "2^28 tags", send: sized(3, 12, "\x00\x01\x01\x00\x80\x80\x80\x80\x01"), want: closed},
	})
}

func onlyItsOwnRange(h *hostile, r kmsg.Response) {
	if keys := r.(*kmsg.ApiVersionsResponse).ApiKeys; len(keys) != 1 || keys[0].ApiKey != 18 {
		h.Errorf("keys %v, want that of ApiVersions alone", keys)
	}
}

func markers() kmsg.Request {
	r := kmsg.NewPtrWriteTxnMarkersRequest()
	r.Version = 1
	return r
}

func byteByByte(h *hostile) {
	c := h.dial()
	sent := frame(versionsRequest())
	for _, b := range sent {
		if _, err := c.Write([]byte{b}); err != nil {
			h.Fatal(err)
		}
	}
	if got, _ := h.result(c, sent); got != code(0) {
		h.Errorf("got %v", got)
	}
}

func pipelined(h *hostile) {
	c := h.dial()
	var all []byte
	for i := range uint32(50) {
		one := frame(versionsRequest())
		binary.BigEndian.PutUint32(one[8:], i)
		all = append(all, one...)
	}
	if _, err := c.Write(all); err != nil {
		h.Fatal(err)
	}
	for i := range uint32(50) {
		answer, err := readFrame(c)
		if err != nil {
			h.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(answer); got != i {
			h.Fatalf("answer %d has correlation id %d", i, got)
		}
	}
}

func manyIdle(h *hostile) {
	for range 500 {
		h.dial()
	}
	began := time.Now()
	if got, _ := h.outcome(h.dial(), frame(versionsRequest())); got != code(0) || time.Since(began) > time.Second {
		h.Errorf("%v after %v", got, time.Since(began))
	}
}
