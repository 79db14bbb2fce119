package wire

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	keySASLHandshake    = 17
	keyApiVersions      = 18
	keySASLAuthenticate = 36
)

// An Entry is one request or answer, decoded. Its JSON is one line.
type Entry struct {
	N           int             `json:"n"`
	Millis      float64         `json:"ms"` // since the first frame
	Conn        int             `json:"conn"`
	Address     string          `json:"address"`
	Direction   string          `json:"direction"` // "request" or "answer"
	API         string          `json:"api,omitempty"`
	Key         int16           `json:"key"`
	Version     int16           `json:"version"`
	Correlation int32           `json:"correlation"`
	ClientID    string          `json:"client_id,omitempty"`
	Bytes       int             `json:"bytes"`
	Retried     bool            `json:"retried,omitempty"` // of an attempt that was made again
	Body        json.RawMessage `json:"body,omitempty"`
	Raw         string          `json:"raw,omitempty"`     // hex, of what could not be decoded
	Problem     string          `json:"problem,omitempty"` // why it could not
	Codes       []string        `json:"-"`                 // names of the error codes of an answer, in order
}

// What names the message: "Produce v13".
func (e Entry) What() string {
	if e.API == "" {
		return "bytes that are no request"
	}
	return fmt.Sprintf("%s v%d", e.API, e.Version)
}

// Entries decodes all that was recorded.
func (r *Recorder) Entries() []Entry {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	frames, dropped := slices.Clone(r.frames), r.dropped
	r.mu.Unlock()
	var d Decoder
	entries := make([]Entry, 0, len(frames))
	for i, f := range frames {
		e := d.Decode(Frame{Conn: f.conn, Address: f.addr, Answer: f.answer, Size: f.size, Raw: f.raw})
		e.N, e.Millis, e.Retried = i+1, float64(f.at.Round(time.Microsecond))/float64(time.Millisecond), f.retried
		entries = append(entries, e)
	}
	if dropped > 0 {
		entries = append(entries, Entry{N: len(frames) + 1, Problem: fmt.Sprintf("%d more frames were not kept", dropped)})
	}
	return entries
}

// WriteLines writes all that was recorded, one JSON object a line.
func (r *Recorder) WriteLines(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, e := range r.Entries() {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// asked finds the request of an answer.
type asked struct {
	conn        int
	correlation int32
}

// A Frame is one request or answer as it was on the wire, without its length.
type Frame struct {
	Conn    int
	Address string
	Answer  bool
	Size    int    // bytes it had
	Raw     []byte // those that are kept
}

// A Decoder decodes the frames of any connections, in the order of each. The zero
// value is ready; one goroutine uses it.
type Decoder struct {
	asked  map[asked]Entry
	secret map[int]bool // connections that authenticate with frames that are no requests
}

// maxAsked is how many requests a Decoder remembers that had no answer. All are
// forgotten when there are more, as of a producer that wants no answers.
const maxAsked = 64 << 10

// Decode tells one frame. N, Millis and Retried are the caller's.
func (d *Decoder) Decode(f Frame) Entry {
	if d.asked == nil || len(d.asked) >= maxAsked {
		d.asked = map[asked]Entry{}
	}
	if d.secret == nil {
		d.secret = map[int]bool{}
	}
	e := Entry{Conn: f.Conn, Address: f.Address, Direction: "request", Bytes: f.Size}
	var err error
	if f.Answer {
		e.Direction = "answer"
		err = d.answer(&e, f.Raw)
	} else {
		err = d.request(&e, f.Raw)
	}
	switch {
	case err == nil:
	case d.secret[f.Conn] || e.Key == keySASLAuthenticate:
		e.Problem = err.Error() + "; not shown, it may be a secret"
	default:
		e.Problem, e.Raw = err.Error(), hex.EncodeToString(f.Raw[:min(len(f.Raw), 1024)])
	}
	return e
}

var (
	errShort = errors.New("the frame is cut short")
	errOther = errors.New("no request has that key")
)

func (d *Decoder) request(e *Entry, raw []byte) error {
	r := kbin.Reader{Src: raw}
	e.Key, e.Version, e.Correlation = r.Int16(), r.Int16(), r.Int32()
	if !r.Ok() {
		return errShort
	}
	req := kmsg.RequestForKey(e.Key)
	if req == nil {
		return errOther
	}
	e.API = kmsg.NameForKey(e.Key)
	d.asked[asked{e.Conn, e.Correlation}] = *e
	if e.Key == keySASLHandshake && e.Version == 0 {
		d.secret[e.Conn] = true
	}
	if e.Version < 0 || e.Version > req.MaxVersion() {
		return fmt.Errorf("version %d is not known", e.Version)
	}
	req.SetVersion(e.Version)
	if id := r.NullableString(); id != nil {
		e.ClientID = *id
	}
	if req.IsFlexible() && !skipTags(&r) || !r.Ok() || e.Bytes > len(raw) {
		return errShort
	}
	return e.decode(req, r.Src)
}

func (d *Decoder) answer(e *Entry, raw []byte) error {
	if len(raw) < 4 {
		return errShort
	}
	e.Correlation = int32(binary.BigEndian.Uint32(raw))
	of, ok := d.asked[asked{e.Conn, e.Correlation}]
	if !ok {
		return errors.New("no request has that correlation id")
	}
	delete(d.asked, asked{e.Conn, e.Correlation})
	e.API, e.Key, e.Version = of.API, of.Key, of.Version
	if e.Bytes > len(raw) {
		return errShort
	}
	resp := kmsg.ResponseForKey(e.Key)
	if e.Version < 0 || e.Version > resp.MaxVersion() {
		return fmt.Errorf("version %d is not known", e.Version)
	}
	resp.SetVersion(e.Version)
	r := kbin.Reader{Src: raw[4:]}
	if resp.IsFlexible() && e.Key != keyApiVersions && !skipTags(&r) {
		return errShort
	}
	err := e.decode(resp, r.Src)
	if err != nil && e.Key == keyApiVersions {
		// A version that a broker does not know is refused in the shape of version 0 (KIP-511).
		resp.SetVersion(0)
		err = e.decode(resp, r.Src)
	}
	return err
}

// skipTags passes over the tags of a header. kmsg's own goes on for as many as it is
// told of, up to 2^32, also when there are no bytes left.
func skipTags(r *kbin.Reader) bool {
	for left := r.Uvarint(); left > 0 && r.Ok(); left-- {
		r.Uvarint()
		r.Span(int(r.Uvarint()))
	}
	return r.Ok()
}

// decode reads a body.
func (e *Entry) decode(m interface{ ReadFrom([]byte) error }, body []byte) error {
	if err := m.ReadFrom(body); err != nil {
		return err
	}
	var t teller
	t.value(m)
	e.Body, e.Codes = t.out, t.codes
	return nil
}
