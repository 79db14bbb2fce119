package conformance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/conformance/wire"
)

// maxFrame is the largest answer a case reads, in bytes.
const maxFrame = 100 << 20

var (
	errHeader   = errors.New("response header is cut short")
	errLeftOver = errors.New("bytes left over")
)

// A conn is one connection that speaks the Kafka protocol with no cleverness:
// it negotiates nothing and retries nothing.
//
// Sending and receiving are apart, so that a case can hold several requests
// open. A conn belongs to one goroutine.
type conn struct {
	nc        net.Conn
	formatter *kmsg.RequestFormatter
	next      int32
	stop      func() bool
}

// dial connects to addr by way of a recorder, or of none that is nil; the
// connection ends with ctx.
func dial(ctx context.Context, recorder *wire.Recorder, addr string) (*conn, error) {
	nc, err := recorder.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID("oncelog-conformance"))}
	c.stop = context.AfterFunc(ctx, func() {
		// A deadline in the past wakes a blocked read or write.
		_ = nc.SetDeadline(time.Unix(1, 0))
	})
	return c, nil
}

func (c *conn) close() {
	c.stop()
	_ = c.nc.Close() // nothing is buffered; an error changes no verdict
}

// send writes one request at the version set in it and returns the
// correlation id its answer will carry.
func (c *conn) send(req kmsg.Request) (int32, error) {
	c.next++
	_, err := c.nc.Write(c.formatter.AppendRequest(nil, req, c.next))
	return c.next, err
}

// sendRaw writes one frame as it is, after its length.
func (c *conn) sendRaw(frame []byte) error {
	_, err := c.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

// readFrame reads one whole answer, without its length.
func (c *conn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(c.nc, frame)
	return frame, err
}

// receive reads the answer to req, which was sent under the correlation id.
func (c *conn) receive(req kmsg.Request, correlation int32) (kmsg.Response, error) {
	frame, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	return decode(req, correlation, frame)
}

// request sends req and waits for its answer.
func (c *conn) request(req kmsg.Request) (kmsg.Response, error) {
	correlation, err := c.send(req)
	if err != nil {
		return nil, err
	}
	return c.receive(req, correlation)
}

// decode takes the header off an answer and reads the body at req's version.
// An answer with bytes left over is an error, and returned with it.
func decode(req kmsg.Request, correlation int32, frame []byte) (kmsg.Response, error) {
	if len(frame) < 4 {
		return nil, errHeader
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != correlation {
		return nil, fmt.Errorf("answer carries correlation id %d, want %d", got, correlation)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != keyApiVersions {
		var err error
		if body, err = skipTags(body); err != nil {
			return nil, err
		}
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer to %s: %w", requestName(req), err)
	}
	if n := len(body) - len(resp.AppendTo(nil)); n > 0 { // the library reads past nothing, but may stop early
		return resp, fmt.Errorf("answer to %s has %d %w", requestName(req), n, errLeftOver)
	}
	return resp, nil
}

// skipTags takes a tag section off the front of b (KIP-482).
func skipTags(b []byte) ([]byte, error) {
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errHeader
	}
	b = b[n:]
	for range count {
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errHeader
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return nil, errHeader
		}
		b = b[n+m+int(size):]
	}
	return b, nil
}
