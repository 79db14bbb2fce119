// Package sweep asks for everything that a Table advertises: one minimal valid
// request for each key and version, and a check that the answer is whole at
// that version. It is for tests; it knows how messages lie on the wire and
// nothing of what they mean.
package sweep

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// A Case is one request of the sweep.
type Case struct {
	Key, Version int16
	Request      kmsg.Request
	Frame        []byte // without the length prefix, as Table.Serve takes it
}

// String is the case's name, such as "Fetch/v12".
func (c Case) String() string { return fmt.Sprintf("%s/v%d", kmsg.NameForKey(c.Key), c.Version) }

// NoAnswer says that this request gets none, which no minimal request but a
// Produce with acks=0 does.
func (c Case) NoAnswer() bool {
	r, ok := c.Request.(*kmsg.ProduceRequest)
	return ok && r.Acks == 0
}

// Cases are all keys and versions of the table. prepare, when not nil, may put
// content into a request that has defaults and its version set.
func Cases(t *protocol.Table, prepare func(kmsg.Request)) []Case {
	var cases []Case
	for _, a := range t.APIs() {
		lowest, highest := a.Versions()
		for version := lowest; version <= highest; version++ {
			cases = append(cases, New(a.Key(), version, prepare))
		}
	}
	return cases
}

// Beyond has, for each key of the table, a request one version above what is
// served. All must close the connection but that for ApiVersions, whose answer
// is of version 0 with UNSUPPORTED_VERSION (35).
func Beyond(t *protocol.Table) []Case {
	var cases []Case
	for _, a := range t.APIs() {
		_, highest := a.Versions()
		c := New(a.Key(), highest, nil)
		c.Version++
		binary.BigEndian.PutUint16(c.Frame[2:], uint16(c.Version))
		binary.BigEndian.PutUint32(c.Frame[4:], uint32(Correlation(c.Key, c.Version)))
		cases = append(cases, c)
	}
	return cases
}

// CheckUnsupported is Check for the answer to an ApiVersions request of Beyond.
func (c Case) CheckUnsupported(reply []byte) error {
	c.Request = kmsg.NewPtrApiVersionsRequest()
	if len(reply) < 8 || int32(binary.BigEndian.Uint32(reply[4:])) != Correlation(c.Key, c.Version) {
		return fmt.Errorf("answer of %d bytes has not our correlation id", len(reply))
	}
	plain := append([]byte(nil), reply...)
	binary.BigEndian.PutUint32(plain[4:], uint32(Correlation(c.Key, 0)))
	c.Version = 0
	response, err := c.Check(plain)
	if err != nil {
		return err
	}
	if code := response.(*kmsg.ApiVersionsResponse).ErrorCode; code != kerr.UnsupportedVersion.Code {
		return fmt.Errorf("error code %d, want %d", code, kerr.UnsupportedVersion.Code)
	}
	return nil
}

// New is one case. The correlation id is Correlation.
func New(key, version int16, prepare func(kmsg.Request)) Case {
	r := kmsg.RequestForKey(key)
	if d, ok := r.(interface{ Default() }); ok {
		d.Default()
	}
	r.SetVersion(version)
	minimal(r)
	if prepare != nil {
		prepare(r)
	}
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("sweep")).AppendRequest(nil, r, Correlation(key, version))
	return Case{Key: key, Version: version, Request: r, Frame: frame[4:]}
}

// minimal fills what must not be empty for the request to be answered at all.
func minimal(r kmsg.Request) {
	switch r := r.(type) {
	case *kmsg.ProduceRequest:
		r.Acks = -1
	case *kmsg.ApiVersionsRequest:
		r.ClientSoftwareName, r.ClientSoftwareVersion = "sweep", "1"
	case *kmsg.FetchRequest:
		r.SessionEpoch = -1
	case *kmsg.FindCoordinatorRequest:
		r.CoordinatorKey = "sweep"
	}
}

// Correlation is the correlation id of a case, its key and version.
func Correlation(key, version int16) int32 { return int32(key)<<16 | int32(version) }

// Check decodes the answer, a frame with its length prefix. It must be of the
// case's key, version and correlation id, decode without an error, and encode
// to the same bytes, so that none is left over.
func (c Case) Check(reply []byte) (kmsg.Response, error) {
	if len(reply) < 8 {
		return nil, fmt.Errorf("answer of %d bytes", len(reply))
	}
	if size := int(binary.BigEndian.Uint32(reply)); size != len(reply)-4 {
		return nil, fmt.Errorf("length %d, but %d bytes follow", size, len(reply)-4)
	}
	if got := int32(binary.BigEndian.Uint32(reply[4:])); got != Correlation(c.Key, c.Version) {
		return nil, fmt.Errorf("correlation id %#x, want %#x", got, Correlation(c.Key, c.Version))
	}
	body := reply[8:]
	response := c.Request.ResponseKind()
	response.SetVersion(c.Version)
	if response.IsFlexible() && c.Key != int16(kmsg.ApiVersions) {
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("no empty tag section in the response header")
		}
		body = body[1:]
	}
	if err := response.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if again := response.AppendTo(nil); len(again) != len(body) {
		return nil, fmt.Errorf("%d bytes encode to %d: %d are left over", len(body), len(again), len(body)-len(again))
	}
	return response, nil
}
