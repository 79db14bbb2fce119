package protocol

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quiet is a handler that leaves the response as it is.
func quiet[Q, R any](context.Context, *Q, *R) error { return nil }

type body string

func (b body) AppendTo(dst []byte) ([]byte, error) { return append(dst, b...), nil }

func emptyProduce(r *kmsg.ProduceRequest) { *r = kmsg.ProduceRequest{Topics: r.Topics[:0]} }

// testTable has all of the shapes that matter, with handlers that do nothing.
func testTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable(
		OnReply(0, 13, emptyProduce, func(_ context.Context, r *kmsg.ProduceRequest) (Reply, error) {
			if r.Acks == 0 {
				return nil, nil
			}
			return body("produced"), nil
		}),
		On(4, 18, quiet[kmsg.FetchRequest, kmsg.FetchResponse]),
		On(0, 13, quiet[kmsg.MetadataRequest, kmsg.MetadataResponse]),
		On(0, 9, quiet[kmsg.JoinGroupRequest, kmsg.JoinGroupResponse]),
		On(0, 4, func(_ context.Context, r *kmsg.HeartbeatRequest, _ *kmsg.HeartbeatResponse) error {
			return fmt.Errorf("generation %d: %w", r.Generation, kerr.IllegalGeneration)
		}),
		On(0, 1, quiet[kmsg.SASLHandshakeRequest, kmsg.SASLHandshakeResponse]),
		On(0, 5, quiet[kmsg.ApiVersionsRequest, kmsg.ApiVersionsResponse]),
		On(0, 5, quiet[kmsg.InitProducerIDRequest, kmsg.InitProducerIDResponse]),
		On(0, 3, quiet[kmsg.AddPartitionsToTxnRequest, kmsg.AddPartitionsToTxnResponse]),
		On(0, 4, func(context.Context, *kmsg.DescribeConfigsRequest, *kmsg.DescribeConfigsResponse) error {
			return errors.New("disk on fire")
		}),
		On(0, 0, quiet[kmsg.OffsetDeleteRequest, kmsg.OffsetDeleteResponse]),
	)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// header is a request header v1 with client id "c".
func header(key, version int16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, 0, 0, 0, 7, 0, 1, 'c')
}

func frame(key, version int16, body string) []byte { return append(header(key, version), body...) }

func requestFrame(r kmsg.Request, version int16) []byte {
	r.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, r, 7)[lengthSize:]
}

// The numbers are the rows of the catalogue of hostile inputs; Kafka closes the
// connection for all but 19 and 22, where it is laxer.
func TestServeCloses(t *testing.T) {
	table := testTable(t)
	ping := requestFrame(kmsg.NewPtrMetadataRequest(), 12)
	tests := []struct {
		name  string
		frame []byte
	}{
		{"2 empty frame", nil},
		{"5 five bytes", []byte{0, 3, 0, 0, 0}},
		{"8 api key 9999", frame(9999, 0, "")},
		{"9 api key -1", frame(-1, 0, "")},
		{"10 metadata v99", frame(3, 99, "")},
		{"11 metadata v-1", frame(3, -1, "")},
		{"11 api versions v-1", frame(18, -1, "")},
		{"12 api versions v99 without its tag byte", frame(18, 99, "")},
		{"13 client id length -2", append(header(3, 0)[:8:8], 0xff, 0xfe)},
		{"14 client id of 32767 bytes that are absent", append(header(3, 0)[:8:8], 0x7f, 0xff)},
		{"15 WriteTxnMarkers is not served", frame(27, 1, "\x01\x00")},
		{"19 array length -2", frame(3, 0, "\xff\xff\xff\xfe")},
		{"20 array length 2^31-1", frame(3, 0, "\x7f\xff\xff\xff")},
		{"20 compact array length 2^31-1", frame(3, 9, "\x00\xff\xff\xff\xff\x07")},
		{"21 string longer than the frame", frame(3, 0, "\x00\x00\x00\x01\x7f\xffx")},
		{"22 trailing bytes", append(ping, "junk"...)},
		{"23 endless varint", frame(3, 9, "\x00"+strings.Repeat("\xff", 20))},
		{"24 tag count 2^28 in the header", frame(3, 9, "\x80\x80\x80\x80\x01")},
		{"24 tag count 2^32-1 in the body", frame(3, 9, "\x00\x00\x01\x00\x00\xff\xff\xff\xff\x0f")},
		{"24 tag longer than the frame", frame(3, 9, "\x00\x00\x01\x00\x00\x01\x09\x7f")},
		{"fetch below the minimum", frame(1, 3, "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reply, err := table.Serve(t.Context(), test.frame, nil)
			if !errors.Is(err, ErrClose) || reply != nil {
				t.Fatalf("got %x, %v, want the connection closed", reply, err)
			}
		})
	}
}

func serve(t *testing.T, table *Table, frame []byte, response kmsg.Response, version int16) {
	t.Helper()
	reply, err := table.Serve(t.Context(), frame, []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	if string(reply[:6]) != "before" {
		t.Fatalf("dst was overwritten: %x", reply)
	}
	reply = reply[6:]
	if int(binary.BigEndian.Uint32(reply)) != len(reply)-lengthSize || reply[7] != 7 {
		t.Fatalf("frame %x", reply)
	}
	body := reply[8:]
	response.SetVersion(version)
	if response.IsFlexible() && response.Key() != keyApiVersions {
		if body[0] != 0 {
			t.Fatalf("header tags %d", body[0])
		}
		body = body[1:]
	}
	if err := response.ReadFrom(body); err != nil {
		t.Fatalf("%v: %x", err, body)
	}
}

func TestUnknownApiVersionsIsAnsweredInV0(t *testing.T) {
	var got kmsg.ApiVersionsResponse
	serve(t, testTable(t), frame(18, 99, "\x00 whatever a newer client sends"), &got, 0)
	if got.ErrorCode != kerr.UnsupportedVersion.Code || len(got.ApiKeys) != 1 ||
		got.ApiKeys[0].ApiKey != 18 || got.ApiKeys[0].MinVersion != 0 || got.ApiKeys[0].MaxVersion != 5 {
		t.Fatalf("got %+v", got)
	}
}

func TestCappedApiVersionsIsAnsweredInV0(t *testing.T) {
	table := testTable(t)
	if err := table.Cap(18, 4); err != nil {
		t.Fatal(err)
	}
	request := kmsg.NewPtrApiVersionsRequest()
	var got kmsg.ApiVersionsResponse
	serve(t, table, requestFrame(request, 5), &got, 0)
	if got.ErrorCode != kerr.UnsupportedVersion.Code || got.ApiKeys[0].MaxVersion != 4 {
		t.Fatalf("got %+v", got)
	}
}

func TestHandlerErrorFillsTheResponse(t *testing.T) {
	for version := int16(0); version <= 4; version++ {
		var got kmsg.HeartbeatResponse
		serve(t, testTable(t), requestFrame(kmsg.NewPtrHeartbeatRequest(), version), &got, version)
		if got.ErrorCode != kerr.IllegalGeneration.Code {
			t.Fatalf("v%d: code %d", version, got.ErrorCode)
		}
	}
}

func TestHandlerErrorWithoutAPlaceCloses(t *testing.T) {
	table := testTable(t)
	var told error
	table.Unexpected = func(ctx context.Context, r *Request, err error) {
		if r.Key != 32 || RequestFrom(ctx) != r {
			t.Errorf("told of %+v", r)
		}
		told = err
	}
	_, err := table.Serve(t.Context(), requestFrame(kmsg.NewPtrDescribeConfigsRequest(), 4), nil)
	if !errors.Is(err, ErrClose) || told == nil || told.Error() != "disk on fire" {
		t.Fatalf("got %v, told %v", err, told)
	}
}

// FetchResponse has its top level error code from v7 on.
func TestHandlerErrorNeedsTheVersion(t *testing.T) {
	table, err := NewTable(On(4, 18, func(context.Context, *kmsg.FetchRequest, *kmsg.FetchResponse) error {
		return kerr.FetchSessionIDNotFound
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got kmsg.FetchResponse
	serve(t, table, requestFrame(kmsg.NewPtrFetchRequest(), 7), &got, 7)
	if got.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Fatalf("code %d", got.ErrorCode)
	}
	if _, err := table.Serve(t.Context(), requestFrame(kmsg.NewPtrFetchRequest(), 6), nil); !errors.Is(err, ErrClose) {
		t.Fatalf("v6: %v", err)
	}
}

func TestProduceWithoutAcksHasNoAnswer(t *testing.T) {
	table := testTable(t)
	request := kmsg.NewPtrProduceRequest()
	request.Acks = 0
	if reply, err := table.Serve(t.Context(), requestFrame(request, 9), []byte("x")); reply != nil || err != nil {
		t.Fatalf("got %x, %v", reply, err)
	}
	request.Acks = 1
	reply, err := table.Serve(t.Context(), requestFrame(request, 9), nil)
	if want := "\x00\x00\x00\x0d\x00\x00\x00\x07\x00produced"; string(reply) != want || err != nil {
		t.Fatalf("got %q, %v", reply, err)
	}
}

func TestHandlerSeesItsRequest(t *testing.T) {
	conn := &Conn{ID: 42}
	var got *Request
	table, err := NewTable(On(0, 5, func(ctx context.Context, _ *kmsg.ApiVersionsRequest, r *kmsg.ApiVersionsResponse) error {
		got = RequestFrom(context.WithValue(ctx, t, 1))
		if r.Version != 3 || r.FinalizedFeaturesEpoch != -1 {
			t.Errorf("response %+v", r)
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := kmsg.NewPtrApiVersionsRequest()
	r.SetVersion(3)
	if _, err := table.Serve(WithConn(t.Context(), conn), requestFrame(r, 3), nil); err != nil {
		t.Fatal(err)
	}
	if got.Key != 18 || got.Version != 3 || got.CorrelationID != 7 || got.ClientName() != "c" || got.Conn != conn {
		t.Fatalf("got %+v", got)
	}
	if r := RequestFrom(t.Context()); r == nil || r.ClientName() != "" {
		t.Fatalf("outside of a handler: %+v", r)
	}
}

func TestRequestsOutliveTheirFrame(t *testing.T) {
	var got []byte
	table, err := NewTable(On(0, 9, func(_ context.Context, r *kmsg.JoinGroupRequest, _ *kmsg.JoinGroupResponse) error {
		got = r.Protocols[0].Metadata
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := kmsg.NewPtrJoinGroupRequest()
	r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("kept")}}
	frame := requestFrame(r, 9)
	if _, err := table.Serve(t.Context(), frame, nil); err != nil {
		t.Fatal(err)
	}
	clear(frame)
	if string(got) != "kept" {
		t.Fatalf("metadata is %q after the frame was reused", got)
	}
}

func TestNullClientID(t *testing.T) {
	table := testTable(t)
	for _, version := range []int16{0, 12} {
		r := kmsg.NewPtrMetadataRequest()
		r.SetVersion(version)
		frame := new(kmsg.RequestFormatter).AppendRequest(nil, r, 7)[lengthSize:]
		if _, err := table.Serve(t.Context(), frame, nil); err != nil {
			t.Fatalf("v%d: %v", version, err)
		}
	}
}

func TestUnknownTagsAreAccepted(t *testing.T) {
	r := kmsg.NewPtrMetadataRequest()
	r.SetVersion(12)
	r.UnknownTags.Set(77, []byte("from the future"))
	var got kmsg.MetadataResponse
	serve(t, testTable(t), requestFrame(r, 12), &got, 12)
	// The same in the header: one tag, 5, of two bytes.
	r.UnknownTags = kmsg.Tags{}
	body := r.AppendTo(nil)
	serve(t, testTable(t), frame(3, 12, "\x01\x05\x02ab"+string(body)), &got, 12)
}
