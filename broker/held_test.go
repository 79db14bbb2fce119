package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// largeHeartbeat is a request of a few bytes more than size, in a version whose
// tags the decoder passes over.
func largeHeartbeat(size int) *kmsg.HeartbeatRequest {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version = 4
	r.UnknownTags.Set(9, make([]byte, size))
	return r
}

// partly sends a request but for its last byte.
func partly(t *testing.T, c net.Conn, r kmsg.Request) {
	t.Helper()
	b := kmsg.NewRequestFormatter().AppendRequest(nil, r, 1)
	if _, err := c.Write(b[:len(b)-1]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	synctest.Wait()
}

func isClosed(c net.Conn) bool {
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// When requests hold more than queued.max.request.bytes, the one that has been
// arriving for longest goes; those that are being served stay, and small ones
// are served in any case.
func TestSlowestRequestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		resume := make(chan struct{})
		s, network := startLogging(t, slog.NewTextHandler(&lines, nil), map[string]string{"queued.max.request.bytes": "1000000"}, heartbeat(func(ctx context.Context) error {
			if protocol.RequestFrom(ctx).CorrelationID == 7 {
				<-resume
			}
			return nil
		}))
		first, second := dial(t, network), dial(t, network)
		partly(t, first, largeHeartbeat(200_000))
		time.Sleep(time.Second)
		partly(t, second, largeHeartbeat(200_000))
		served := dial(t, network)
		send(t, served, 7, largeHeartbeat(700_000))
		synctest.Wait()
		if !isClosed(first) || isClosed(second) || isClosed(served) {
			t.Errorf("closed: %v %v %v, want the first alone", isClosed(first), isClosed(second), isClosed(served))
		}
		last := dial(t, network) // finds the second arriving, and then itself
		partly(t, last, largeHeartbeat(700_000))
		if !isClosed(second) || isClosed(served) || !isClosed(last) {
			t.Errorf("closed: %v %v %v, want all but the one that is served", isClosed(second), isClosed(served), isClosed(last))
		}
		small := dial(t, network)
		send(t, small, 3, largeHeartbeat(1000))
		if got := receive(t, bufio.NewReader(small)); got != 3 {
			t.Errorf("correlation id %d, want 3", got)
		}
		close(resume)
		if err := served.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, bufio.NewReader(served)); got != 7 {
			t.Errorf("correlation id %d, want 7", got)
		}
		stop(t, s)
		if s.held.bytes != 0 || len(s.held.requests) != 0 {
			t.Errorf("%d bytes of %d requests are counted after all", s.held.bytes, len(s.held.requests))
		}
		if n := strings.Count(lines.String(), "queued.max.request.bytes of 1000000 is reached"); n != 3 {
			t.Errorf("%d lines say why, want 3: %s", n, lines.String())
		}
	})
}

// A length alone holds nothing, and neither does a request that was served.
func TestLengthAloneHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network := startServer(t, nil, heartbeat(func(context.Context) error { return nil }))
		for range 100 {
			c := dial(t, network)
			if _, err := c.Write(binary.BigEndian.AppendUint32(nil, 100<<20)); err != nil {
				t.Fatal(err)
			}
		}
		c := dial(t, network)
		for i := range int32(20) {
			send(t, c, i, largeHeartbeat(300_000))
			receive(t, bufio.NewReader(c))
		}
		synctest.Wait()
		if s.held.bytes != 0 {
			t.Errorf("%d bytes are held", s.held.bytes)
		}
		stop(t, s)
	})
}
