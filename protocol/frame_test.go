package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/twmb/franz-go/pkg/kerr"
)

const maxFrame = 100 << 20

func framed(size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	for i := range size {
		b = append(b, byte(i*7))
	}
	return b
}

func reader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), firstChunk) }

func TestReadFrame(t *testing.T) {
	for _, size := range []int{8, 100, firstChunk - 4, firstChunk, firstChunk + 1, 3*firstChunk + 5, 1 << 20} {
		wire := framed(size)
		for name, r := range map[string]*bufio.Reader{
			"whole":     reader(wire),
			"byte wise": bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(wire)), firstChunk), // row 16
		} {
			for _, buf := range [][]byte{nil, make([]byte, 10), make([]byte, 0, 2<<20)} {
				if buf != nil && r.Buffered() == 0 {
					r.Reset(bytes.NewReader(wire))
				}
				got, err := ReadFrame(r, maxFrame, buf, nil)
				if err != nil || !bytes.Equal(got, wire[4:]) {
					t.Fatalf("%d bytes, %s: got %d, %v", size, name, len(got), err)
				}
				if cap(buf) >= size && &got[0] != &buf[:1][0] {
					t.Fatalf("%d bytes: a buffer of %d was not used", size, cap(buf))
				}
			}
		}
	}
}

func TestReadFrameRefuses(t *testing.T) {
	tests := []struct {
		name string
		wire []byte
		want error
	}{
		{"1 length -1", []byte{0xff, 0xff, 0xff, 0xff}, ErrClose},
		{"2 length 0", []byte{0, 0, 0, 0}, ErrClose},
		{"3 length 2^31-1", []byte{0x7f, 0xff, 0xff, 0xff}, ErrClose},
		{"4 length over socket.request.max.bytes", binary.BigEndian.AppendUint32(nil, maxFrame+1), ErrClose},
		{"5 length 5", []byte{0, 0, 0, 5, 1, 2, 3, 4, 5}, ErrClose},
		{"6 HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), ErrClose},
		{"7 TLS hello", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), ErrClose},
		{"end between frames", nil, io.EOF},
		{"end within the length", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"end after the length", []byte{0, 0, 0, 9}, io.ErrUnexpectedEOF},
		{"end within the frame", framed(200)[:100], io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := ReadFrame(reader(test.wire), maxFrame, nil, nil); !errors.Is(err, test.want) {
				t.Fatalf("got %x, %v, want %v", got, err, test.want)
			}
		})
	}
}

// 117: a frame of 100 MiB costs memory only as its bytes come.
func TestReadFrameGrowsAsBytesArrive(t *testing.T) {
	wire := binary.BigEndian.AppendUint32(nil, maxFrame)
	wire = append(wire, make([]byte, 200<<10)...)
	r := reader(wire)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadFrame(r, maxFrame, nil, nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Fatalf("%d bytes allocated for 200 KiB", grown)
	}
}

// short ends in the name of its code, without the description, as record.Invalid does.
type short struct{}

func (short) Error() string { return "batch of 9 bytes: MESSAGE_TOO_LARGE" }
func (short) Unwrap() error { return kerr.MessageTooLarge }

func TestCodeAndMessage(t *testing.T) {
	secret := errors.New("open /secret: no such file")
	tests := []struct {
		err     error
		code    int16
		message string
	}{
		{nil, 0, ""},
		{kerr.NotLeaderForPartition, 6, kerr.NotLeaderForPartition.Description},
		{fmt.Errorf("sequence 7, want 5: %w", kerr.OutOfOrderSequenceNumber), 45, "sequence 7, want 5"},
		{short{}, 10, "batch of 9 bytes"},
		{fmt.Errorf("%w: disk", kerr.KafkaStorageError), 56, "KAFKA_STORAGE_ERROR: "},
		{context.DeadlineExceeded, 7, "The request timed out."},
		{fmt.Errorf("wait: %w", context.Canceled), 7, "The request timed out."},
		{secret, -1, kerr.UnknownServerError.Description},
	}
	for _, test := range tests {
		if got := Code(test.err); got != test.code {
			t.Errorf("%v: code %d, want %d", test.err, got, test.code)
		}
		got := Message(test.err)
		if (got == nil) != (test.err == nil) || got != nil && (!strings.HasPrefix(*got, test.message) || strings.HasSuffix(*got, "_TOO_LARGE")) {
			t.Errorf("%v: message %v, want %q", test.err, got, test.message)
		}
		if Unexpected(test.err) != (test.err == secret) {
			t.Errorf("%v: unexpected %v", test.err, Unexpected(test.err))
		}
	}
}
