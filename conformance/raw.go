package conformance

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// closePatience is how long a broker may take to close a connection.
const closePatience = 5 * time.Second

// versionsRequest builds an ApiVersions as this suite sends it.
func (t *T) versionsRequest(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = version
	req.ClientSoftwareName, req.ClientSoftwareVersion = "oncelog-conformance", Version
	return req
}

// closed demands that the broker closes the connection without an answer, and
// that it goes on serving others.
func (t *T) closed(what string, c *conn) {
	if err := c.nc.SetReadDeadline(time.Now().Add(closePatience)); err != nil {
		t.fatalf(what, "a deadline", "%v", err)
	}
	frame, err := c.readFrame()
	switch {
	case err == nil:
		t.record(what, false, "connection closed", "an answer")
		t.observe(what+", bytes", string(frame))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		t.record(what, true, "connection closed", "connection closed")
	default:
		t.record(what, false, "connection closed", err.Error())
	}
	other := askOn[*kmsg.ApiVersionsResponse](t, t.dialNode(t.any()), t.versionsRequest(3))
	t.code(what+", then another connection", other.ErrorCode, codeNone)
}
