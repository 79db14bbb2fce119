package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzFrame: what is read is what was framed, and refusals are known errors.
func FuzzFrame(f *testing.F) {
	f.Add(framed(20), 3)
	f.Add(framed(70000), 1)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 0)
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		r := bufio.NewReaderSize(bytes.NewReader(wire), firstChunk)
		buf := make([]byte, 0, min(max(size, 0), 100))
		for rest := wire; ; {
			got, err := ReadFrame(r, 1<<20, buf, nil)
			if err != nil {
				if !errors.Is(err, ErrClose) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
				return
			}
			n := int(binary.BigEndian.Uint32(rest))
			if !bytes.Equal(got, rest[4:4+n]) {
				t.Fatalf("got %x, want %x", got, rest[4:4+n])
			}
			rest = rest[4+n:]
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(header(3, 12))
	f.Add(frame(3, 12, "\x01\x05\x02ab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := parseHeader(b)
		if err != nil {
			return
		}
		if rest, err = parseClientID(&r, rest); err != nil {
			return
		}
		if after, err := skipTags(rest); err == nil && len(after) >= len(rest) {
			t.Fatal("tags took no byte")
		}
	})
}

// anyAPI serves each version of a request with a handler that does nothing.
func anyAPI(key int16) API {
	fresh := func() kmsg.Request { return kmsg.RequestForKey(key) }
	a := newAPI(fresh(), fresh, 0, fresh().MaxVersion())
	a.serve = func(_ context.Context, version int16, body, dst []byte) ([]byte, error) {
		r := fresh()
		if err := a.decode(r, version, body); err != nil {
			return nil, err
		}
		response := a.newResponse()
		setDefaults(response, version)
		return response.AppendTo(dst), nil
	}
	return a
}

func allOfKmsg(t testing.TB) *Table {
	t.Helper()
	var apis []API
	for key := range kmsg.MaxKey + 1 {
		if kmsg.RequestForKey(int16(key)) != nil {
			apis = append(apis, anyAPI(int16(key)))
		}
	}
	table, err := NewTable(apis...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// FuzzServe gives frames to a table of all that kmsg decodes: no panic, each
// error closes the connection, each answer is a whole frame.
func FuzzServe(f *testing.F) {
	table := allOfKmsg(f)
	random := rand.New(rand.NewSource(2))
	for _, a := range table.APIs() {
		for _, version := range []int16{0, a.max / 2, a.max} {
			r := a.newRequest()
			populate(reflect.ValueOf(r).Elem(), random)
			f.Add(requestFrame(r, version))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		reply, err := table.Serve(t.Context(), frame, nil)
		if err != nil {
			if !errors.Is(err, ErrClose) {
				t.Fatal(err)
			}
			return
		}
		if int(binary.BigEndian.Uint32(reply)) != len(reply)-lengthSize {
			t.Fatalf("answer %x", reply)
		}
		if !bytes.Equal(reply[4:8], frame[4:8]) {
			t.Fatalf("correlation id %x of %x", reply[4:8], frame[4:8])
		}
	})
}
