package conformance

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/conformance/wire"
)

// patience is how long a case waits for a condition that has to come.
const patience = 15 * time.Second

// A Check is one thing a case looked at.
type Check struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
	// Kafka is what Apache Kafka was recorded to answer here, where the check
	// differs.
	Kafka string `json:"kafka,omitempty"`

	retried bool // seen in an attempt that was made again
}

// A T runs one case: it holds its connections, what it made on the target and
// what it saw. It belongs to the goroutine of the case.
type T struct {
	ctx     context.Context // ends with the case; the one context of all its requests
	cluster *cluster
	prefix  string
	names   int
	conns   map[int32]*conn
	extra   []*conn
	clients []*kgo.Client
	topics  []*topic
	groups  []string
	members []*member
	checks  []Check
	skipped string
	raced   bool           // see races
	wire    *wire.Recorder // nil keeps nothing
}

// name makes a name of this run that no other case uses.
func (t *T) name(kind string) string {
	t.names++
	return fmt.Sprintf("%s-%s%d", t.prefix, kind, t.names)
}

// record keeps one look and returns whether it was as demanded.
func (t *T) record(what string, ok bool, want, got string) bool {
	t.checks = append(t.checks, Check{What: what, Want: want, Got: got, OK: ok})
	return ok
}

// fatalf ends the case as failed.
func (t *T) fatalf(what, want, format string, args ...any) {
	t.record(what, false, want, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// skipf ends the case without a verdict.
func (t *T) skipf(format string, args ...any) {
	t.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// code demands one of the wanted error codes.
func (t *T) code(what string, got int16, want ...int16) bool {
	ok := false
	names := make([]string, len(want))
	for i, w := range want {
		ok = ok || got == w
		names[i] = codeName(w)
	}
	return t.record(what, ok, strings.Join(names, " or "), codeName(got))
}

// mustCode demands a code and ends the case when it is another: what follows
// would make no sense.
func (t *T) mustCode(what string, got int16, want ...int16) {
	if !t.code(what, got, want...) {
		runtime.Goexit()
	}
}

// refused demands any error: which one depends on how far things are.
func (t *T) refused(what string, got int16) bool {
	return t.record(what, got != codeNone, "any error", codeName(got))
}

// equal demands that two values print the same.
func (t *T) equal(what string, got, want any) bool {
	g, w := fmt.Sprint(got), fmt.Sprint(want)
	return t.record(what, g == w, w, g)
}

// codeName is a code as Kafka names it.
func codeName(code int16) string {
	if code == codeNone {
		return "NONE"
	}
	if e := kerr.TypedErrorForCode(code); e != nil {
		return fmt.Sprintf("%s (%d)", e.Message, code)
	}
	return fmt.Sprintf("error %d", code)
}

// until asks again and again until cond holds, and ends the case when it does
// not within the patience.
func (t *T) until(what string, cond func() (seen string, ok bool)) {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		mark, looked := t.wire.Mark(), len(t.checks)
		seen, ok := cond()
		if ok {
			return
		}
		t.wire.Retried(mark)
		for i := looked; i < len(t.checks); i++ {
			t.checks[i].retried = true
		}
		if time.Now().After(deadline) {
			t.fatalf(what, "within "+patience.String(), "%s", seen)
		}
		t.pause(pause)
	}
}

// settle repeats ask while its code is one of the passing ones.
func (t *T) settle(what string, passing func(int16) bool, ask func() int16) int16 {
	var code int16
	t.until(what, func() (string, bool) {
		code = ask()
		return codeName(code), !passing(code)
	})
	return code
}

// pause waits between two looks.
func (t *T) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
		t.fatalf("time", "the case ends", "%v", context.Cause(t.ctx))
	}
}

// node is the connection of this case to a broker.
func (t *T) node(id int32) *conn {
	if c := t.conns[id]; c != nil {
		return c
	}
	c := t.dialNode(id)
	t.conns[id] = c
	return c
}

// dialNode opens one more connection to a broker, which lives as long as the
// case.
func (t *T) dialNode(id int32) *conn {
	addr, ok := t.cluster.brokers[id]
	if !ok {
		t.fatalf("broker", "a broker of the cluster", "node %d is not in the metadata", id)
	}
	c, err := dial(t.ctx, t.wire, addr)
	if err != nil {
		t.fatalf("connection to "+addr, "accepted", "%v", err)
	}
	t.extra = append(t.extra, c)
	return c
}

// any is a broker that any request may go to.
func (t *T) any() int32 { return t.cluster.nodes()[0] }

// newest is the highest version of req both sides know, capped by limit
// (negative: no cap). A case that comes to a request that the target does not
// have ends without a verdict.
func (t *T) newest(req kmsg.Request, limit int16) int16 {
	if !t.cluster.offers(req.Key()) {
		t.skipf("needs %s, which is not offered", kmsg.NameForKey(req.Key()))
	}
	return t.cluster.newest(req, limit)
}

// ask sends req to a broker and returns its answer.
func ask[R kmsg.Response](t *T, node int32, req kmsg.Request) R {
	return askOn[R](t, t.node(node), req)
}

// askOn sends req on one connection and returns its answer.
func askOn[R kmsg.Response](t *T, c *conn, req kmsg.Request) R {
	resp, err := c.request(req)
	if err != nil {
		t.fatalf(requestName(req), "an answer", "%v", err)
	}
	return resp.(R)
}

// send sends req and returns what waits for its answer.
func send[R kmsg.Response](t *T, c *conn, req kmsg.Request) (answer func() R) {
	correlation, err := c.send(req)
	if err != nil {
		t.fatalf(requestName(req), "sent", "%v", err)
	}
	return func() R {
		resp, err := c.receive(req, correlation)
		if err != nil {
			t.fatalf(requestName(req), "an answer", "%v", err)
		}
		return resp.(R)
	}
}

func requestName(req kmsg.Request) string {
	return fmt.Sprintf("%s v%d", kmsg.NameForKey(req.Key()), req.GetVersion())
}

// close ends the connections of the case.
func (t *T) close() {
	for _, c := range t.extra {
		c.close()
	}
	for _, cl := range t.clients {
		cl.Close()
	}
	clear(t.conns)
	t.extra = nil
}

// observe keeps what was seen where several answers are right.
func (t *T) observe(what string, seen string) { t.record(what, true, "any", seen) }

// races says that Kafka's answers depend on what is faster: the outcome is
// judged, and a recording keeps only the verdict.
func (t *T) races() { t.raced = true }

// protocols lists the transaction protocols the target speaks.
func (t *T) protocols() []int {
	var all []int
	if t.cluster.missing(tv1()) == "" {
		all = append(all, 1)
	}
	if t.cluster.missing(tv2()) == "" {
		all = append(all, 2)
	}
	if len(all) == 0 {
		t.skipf("%s", t.cluster.missing(tv1()))
	}
	return all
}
