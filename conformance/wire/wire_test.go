package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// talk is one recorded connection and what answers it, in memory.
type talk struct {
	t      *testing.T
	r      *Recorder
	client net.Conn
	server net.Conn
	format *kmsg.RequestFormatter
	next   int32
}

func newTalk(t *testing.T) *talk {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	r := new(Recorder)
	return &talk{t: t, r: r, client: r.Wrap(near, "b:9092"), server: far, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("me"))}
}

// send writes raw bytes in pieces and lets the server read them.
func (k *talk) send(raw []byte, piece int) {
	k.t.Helper()
	sent := make(chan error, 1)
	go func() {
		for part := range slices.Chunk(raw, piece) {
			if _, err := k.client.Write(part); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	if _, err := io.ReadFull(k.server, make([]byte, len(raw))); err != nil {
		k.t.Fatal(err)
	}
	if err := <-sent; err != nil {
		k.t.Fatal(err)
	}
}

// answer lets the server write raw bytes and the client read them in pieces.
func (k *talk) answer(raw []byte, piece int) {
	k.t.Helper()
	sent := make(chan error, 1)
	go func() { _, err := k.server.Write(raw); sent <- err }()
	for left := len(raw); left > 0; {
		n, err := k.client.Read(make([]byte, min(piece, left)))
		if err != nil {
			k.t.Fatal(err)
		}
		left -= n
	}
	if err := <-sent; err != nil {
		k.t.Fatal(err)
	}
}

// exchange sends a request and its answer, in pieces of so many bytes.
func (k *talk) exchange(req kmsg.Request, resp kmsg.Response, piece int) {
	k.t.Helper()
	k.next++
	k.send(k.format.AppendRequest(nil, req, k.next), piece)
	resp.SetVersion(req.GetVersion())
	frame := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(k.next))
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		frame = append(frame, 0)
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	k.answer(frame, piece)
}

func endTxn() (*kmsg.EndTxnRequest, *kmsg.EndTxnResponse) {
	req, resp := kmsg.NewPtrEndTxnRequest(), kmsg.NewPtrEndTxnResponse()
	req.Version, req.TransactionalID, req.ProducerID = 5, "pay-1", 4001
	resp.ErrorCode = 48
	return req, resp
}

func TestRequestsAndAnswersAreDecoded(t *testing.T) {
	for _, piece := range []int{1, 3, 4096} {
		k := newTalk(t)
		req, resp := endTxn()
		k.exchange(req, resp, piece)
		var b bytes.Buffer
		if err := k.r.WriteLines(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines in pieces of %d, want 2:\n%s", len(lines), piece, b.String())
		}
		for i, want := range []string{
			`"direction":"request","api":"EndTxn","key":26,"version":5,"correlation":1,"client_id":"me"`,
			`"direction":"answer","api":"EndTxn","key":26,"version":5,"correlation":1`,
		} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d lacks %s:\n%s", i, want, lines[i])
			}
		}
		if !strings.Contains(lines[0], `"TransactionalID":"pay-1","ProducerID":4001`) || !strings.Contains(lines[1], `"ErrorCode":48,"Error":"INVALID_TXN_STATE"`) {
			t.Errorf("the fields are not told:\n%s", b.String())
		}
	}
}

func TestWhatIsNoRequestIsShownAsBytes(t *testing.T) {
	k := newTalk(t)
	k.send([]byte{0, 0, 0, 3, 1, 2, 3}, 2)                                 // no header
	k.send([]byte{0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff}, 14) // an unknown key
	k.send([]byte{0, 0, 0, 0}, 4)
	k.send([]byte{0xff, 0xff, 0xff, 0xff, 'a', 'b'}, 6) // lost from here on
	var problems []string
	for _, e := range k.r.Entries() {
		problems = append(problems, e.Raw+" "+e.Problem)
	}
	want := []string{
		"010203 the frame is cut short", "7f00000000000009ffff no request has that key", " the frame is cut short",
		"ffffffff the frame is cut short", "6162 the frame is cut short",
	}
	if !slices.Equal(problems, want) {
		t.Errorf("problems %q, want %q", problems, want)
	}
}

func TestSecretsAreRemoved(t *testing.T) {
	const secret = "c0rrect-horse"
	k := newTalk(t)
	plain, token := kmsg.NewPtrSASLAuthenticateRequest(), kmsg.NewPtrSASLAuthenticateResponse()
	plain.Version, plain.SASLAuthBytes, token.SASLAuthBytes = 2, []byte("\x00me\x00"+secret), []byte(secret)
	k.exchange(plain, token, 100)
	scram, done := kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	scram.Upsertions = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{{Name: "me", Salt: []byte(secret), SaltedPassword: []byte(secret)}}
	k.exchange(scram, done, 100)
	alter, altered := kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsResponse()
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	value := secret
	shown := "1000"
	one.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "ssl.keystore.password", Value: &value}, {Name: "retention.ms", Value: &shown}}
	alter.Version, alter.Resources = 1, append(alter.Resources, one)
	k.exchange(alter, altered, 100)
	old, hands := kmsg.NewPtrSASLHandshakeRequest(), kmsg.NewPtrSASLHandshakeResponse()
	old.Mechanism = "PLAIN"
	k.exchange(old, hands, 100)
	k.send(append([]byte{0, 0, 0, byte(len(secret))}, secret...), 100) // a bare token (before KIP-152)
	var b bytes.Buffer
	if err := k.r.WriteLines(&b); err != nil {
		t.Fatal(err)
	}
	encoded := "63307272" // the first of it in hex
	if text := b.String(); strings.Contains(text, secret) || strings.Contains(text, encoded) || strings.Contains(text, "YzBycmVjd") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	if !strings.Contains(b.String(), `"Name":"retention.ms","Op":0,"Value":"1000"`) {
		t.Errorf("what is no secret is not shown:\n%s", b.String())
	}
}

func TestBatchesAreToldByTheirHeaders(t *testing.T) {
	marker := make([]byte, batchHeader)
	binary.BigEndian.PutUint64(marker, 7)
	marker[16] = 2
	binary.BigEndian.PutUint16(marker[21:], 1<<4|1<<5)
	binary.BigEndian.PutUint64(marker[43:], 4001)
	binary.BigEndian.PutUint32(marker[57:], 1)
	marker = append(marker, 20, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0)
	binary.BigEndian.PutUint32(marker[8:], uint32(len(marker)-12))
	got := batches(append(marker, 1, 2, 3))
	if len(got) != 2 || got[0].Control != "COMMIT" || got[0].BaseOffset != 7 || got[0].ProducerID != 4001 || !got[0].Transactional || got[1].Problem == "" {
		t.Errorf("told as %+v", got)
	}
	for n := range len(marker) {
		batches(marker[:n]) // must not panic
		controlKind(marker[min(batchHeader, n):n])
	}
}

func TestRetriedFramesAreMarked(t *testing.T) {
	k := newTalk(t)
	req, resp := endTxn()
	k.exchange(req, resp, 100)
	mark := k.r.Mark()
	k.exchange(req, resp, 100)
	k.r.Retried(mark)
	k.exchange(req, resp, 100)
	var got []bool
	for _, e := range k.r.Entries() {
		got = append(got, e.Retried)
	}
	if want := []bool{false, false, true, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("retried %v, want %v", got, want)
	}
	var none *Recorder
	none.Retried(none.Mark())
	if none.Entries() != nil {
		t.Error("no recorder has entries")
	}
}

func TestWhatIsKeptHasABound(t *testing.T) {
	k := newTalk(t)
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = make([]byte, 4*maxFrame)
	raw := k.format.AppendRequest(nil, req, 1)
	k.send(raw, len(raw))
	if got := k.r.Entries()[0]; got.Problem == "" || got.Bytes != len(raw)-4 || len(k.r.frames[0].raw) != maxFrame {
		t.Errorf("a frame of %d bytes: %d kept, entry %+v", len(raw), len(k.r.frames[0].raw), got)
	}
	for range maxRecorder/maxFrame + 3 {
		k.send(raw, len(raw))
	}
	if last := k.r.Entries()[len(k.r.frames)]; k.r.bytes > maxRecorder || !strings.Contains(last.Problem, "not kept") {
		t.Errorf("%d bytes are kept, the last entry is %+v", k.r.bytes, last)
	}
}

func TestTimelineIsEscaped(t *testing.T) {
	k := newTalk(t)
	req, resp := endTxn()
	req.TransactionalID = "<script>"
	k.exchange(req, resp, 100)
	var b bytes.Buffer
	if err := k.r.Timeline(&b, "a/b/1 <rule>", []Fact{{"rerun", "oncelog & more"}}); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "<script") || !strings.Contains(text, "INVALID_TXN_STATE") || !strings.Contains(text, "oncelog &amp; more") {
		t.Errorf("the page:\n%s", text)
	}
}

// A header that says it has 2^32 tags ends where its bytes do.
func TestHeaderOfManyTags(t *testing.T) {
	r := new(Recorder)
	frame := []byte("\x00#\x00\x0500\xb5\xb5\xb5\xb5\xb5\xb5\xb50") // DescribeLogDirs 5
	r.keep(1, "b", false, frame, len(frame))
	if e := r.Entries()[0]; e.Problem != errShort.Error() {
		t.Errorf("told as %+v, want %v", e, errShort)
	}
}

// hasManyTags says whether a body may hold a count of tags that takes kmsg seconds: it
// goes on to the end of the count though there are no bytes left. Every client that
// stands on it does.
func hasManyTags(b []byte) bool {
	high := 0
	for _, c := range b {
		if c < 0x80 {
			high = 0
		} else if high++; high == 3 {
			return true
		}
	}
	return false
}

func FuzzDecode(f *testing.F) {
	req, resp := endTxn()
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:], resp.AppendTo([]byte{0, 0, 0, 1, 0}))
	f.Fuzz(func(t *testing.T, request, answer []byte) {
		if slices.ContainsFunc([][]byte{request, answer}, hasManyTags) {
			t.Skip()
		}
		r := new(Recorder)
		r.keep(1, "b", false, request, len(request))
		r.keep(1, "b", true, answer, len(answer))
		for _, e := range r.Entries() {
			if line, err := json.Marshal(e); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}
