package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mishaps are what happens to the clients of a load, and to what they say. Where
// one is zero, it does not happen.
type Mishaps struct {
	Lifetime time.Duration // of a client, about, until it is killed; members of groups live longer
	Zombies  float64       // share of the transactions that are stopped until another client has taken over, and then go on
	Late     float64       // share of a producer's requests that arrive a second time, later and by another connection
	Lost     float64       // share of them whose answer is lost, and the connection with it
	Cut      float64       // share of them that arrive in part only, because the connection is cut
}

// How late copies and zombies come.
const (
	copyWithin   = 4 * time.Second
	copyTime     = 5 * time.Second // until its answer
	zombieWithin = time.Second     // after its successor began
	zombieTime   = 10 * time.Second
)

// A life is that of one client: under its context it works, and its connections
// are how it is killed or stopped.
type life struct {
	load   *Load
	name   string          // of the session
	ctx    context.Context // ends when the client is to leave, or is killed
	leave  context.CancelFunc
	body   context.Context // of the client's own goroutines; ends when it is killed
	killed context.CancelFunc
	timer  *time.Timer
	ending sync.WaitGroup // the timer's work
	once   sync.Once      // closes the client
	kept   bool           // a zombie goes on with it
	copies bool           // its requests may arrive a second time

	mu     sync.Mutex
	client *kgo.Client
	random *rand.Rand
	conns  map[net.Conn]struct{}
	frozen chan struct{} // closed when it thaws; nil: not frozen
	dead   bool
}

// born begins the life of a client. Under a lifetime it is killed at some moment.
func (l *Load) born(ctx context.Context, process, session string) *life {
	one := &life{load: l, name: session, random: l.random(session), conns: map[net.Conn]struct{}{}}
	one.ctx, one.leave = context.WithCancel(ctx)
	one.body, one.killed = context.WithCancel(context.WithoutCancel(ctx))
	if most := l.lifetime(process); most > 0 {
		one.ending.Add(1)
		one.timer = time.AfterFunc(time.Duration(one.random.Int64N(int64(2*most))), func() {
			defer one.ending.Done()
			if !l.calm.Load() {
				one.kill()
			}
		})
	}
	return one
}

// lifetime is how long a process's clients live, about.
func (l *Load) lifetime(process string) time.Duration {
	switch process {
	case "idempotent-0": // outlives everything
		return 0
	case "etl-0", "etl-1", "member-0", "member-1": // the group waits for its session to end
		return 6 * l.options.Mishaps.Lifetime
	default:
		return l.options.Mishaps.Lifetime
	}
}

// adopt gives the life its client.
func (one *life) adopt(client *kgo.Client) {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.client = client
}

// close closes the client, once.
func (one *life) close() {
	one.mu.Lock()
	client := one.client
	one.mu.Unlock()
	if client != nil {
		one.once.Do(client.Close)
	}
}

// end lets the client leave in its own way.
func (one *life) end() {
	if one.timer != nil && one.timer.Stop() {
		one.ending.Done()
	}
	one.close()
	one.ending.Wait()
	one.leave()
	one.killed()
}

// kill ends the client as SIGKILL ends a process: its connections are closed
// wherever they are, and it says nothing more.
func (one *life) kill() {
	one.mu.Lock()
	if one.dead || one.frozen != nil {
		one.mu.Unlock()
		return
	}
	one.dead = true
	conns := one.conns
	one.conns = nil
	one.mu.Unlock()
	one.load.recorder.Add(Event{Kind: Mishap, Process: one.name, Value: ClientKill})
	for c := range conns {
		_ = c.(*wire).Conn.Close() // that is the kill
	}
	one.killed()
	one.leave()
	one.close() // nothing is sent any more; whoever waits for an answer is told
}

// freeze stops all that the client says and hears, until thaw.
func (one *life) freeze() {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.frozen = make(chan struct{})
}

func (one *life) thaw() {
	one.mu.Lock()
	defer one.mu.Unlock()
	close(one.frozen)
	one.frozen = nil
}

// awake waits while the client is frozen.
func (one *life) awake() {
	one.mu.Lock()
	frozen := one.frozen
	one.mu.Unlock()
	if frozen != nil {
		select {
		case <-frozen:
		case <-one.body.Done():
		}
	}
}

var errDead = errors.New("verify: this client was killed")

// dial makes connections by the life's own door.
func (one *life) dial(through func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		one.awake()
		if one.body.Err() != nil {
			return nil, errDead
		}
		c, err := through(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mine := &wire{Conn: c, life: one, network: network, address: address}
		one.mu.Lock()
		defer one.mu.Unlock()
		if one.dead {
			return nil, errors.Join(errDead, c.Close())
		}
		one.conns[mine] = struct{}{}
		return mine, nil
	}
}

// Calm has no more mishaps happen to clients: what is waited for from now on comes,
// however long it takes. On a busy machine a pipeline's members may else be killed as
// fast as its group takes them in.
func (l *Load) Calm() { l.calm.Store(true) }

// mishap is chance, until the load is calm.
func (one *life) mishap(share float64) bool { return !one.load.calm.Load() && one.chance(share) }

// chance is true in a share of all cases; where that is 0 it draws nothing.
func (one *life) chance(share float64) bool {
	if share == 0 {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return float64(one.random.Uint32()) < share*(1<<32)
}

func (one *life) upTo(d time.Duration) time.Duration {
	one.mu.Lock()
	defer one.mu.Unlock()
	return time.Duration(one.random.Int64N(int64(d)))
}

// A wire is one connection of a client.
type wire struct {
	net.Conn
	life             *life
	network, address string
	mu               sync.Mutex
	deaf             bool // the next answer is lost, and the connection with it
}

// keyed are the API keys that a late copy or a lost answer may hit: Produce,
// AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
var keyed = []uint16{0, 24, 25, 26, 28}

// Write is given one whole request by franz-go.
func (w *wire) Write(b []byte) (int, error) {
	w.life.awake()
	if len(b) < 8 || int(binary.BigEndian.Uint32(b)) != len(b)-4 || !slices.Contains(keyed, binary.BigEndian.Uint16(b[4:])) {
		return w.Conn.Write(b)
	}
	m := w.life.load.options.Mishaps
	if w.life.mishap(m.Cut) {
		w.life.load.recorder.Add(Event{Kind: Mishap, Process: w.life.name, Value: Cut})
		n, err := w.Conn.Write(b[:len(b)/2])
		return n, errors.Join(io.ErrClosedPipe, err, w.Conn.Close())
	}
	n, err := w.Conn.Write(b)
	if err != nil {
		return n, err
	}
	if w.life.copies && w.life.mishap(m.Late) {
		w.life.load.copyLater(w, slices.Clone(b), w.life.upTo(copyWithin))
	}
	if w.life.mishap(m.Lost) {
		w.life.load.recorder.Add(Event{Kind: Mishap, Process: w.life.name, Value: LostAnswer})
		w.mu.Lock()
		w.deaf = true
		w.mu.Unlock()
	}
	return n, nil
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.life.awake()
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf && err == nil {
		return 0, errors.Join(io.ErrUnexpectedEOF, w.Conn.Close())
	}
	return n, err
}

func (w *wire) Close() error {
	w.life.mu.Lock()
	delete(w.life.conns, w)
	w.life.mu.Unlock()
	return w.Conn.Close()
}

// copyLater sends a request once more, after a while, by a connection of its own,
// as a network does that had lost sight of it. What it is answered nobody reads.
func (l *Load) copyLater(w *wire, request []byte, after time.Duration) {
	came := Event{Kind: Mishap, Value: LateCopy, Process: w.life.name, Since: l.recorder.Now(), Request: kmsg.NameForKey(int16(binary.BigEndian.Uint16(request[4:])))}
	l.copies.Go(func() {
		<-time.After(after)
		ctx, cancel := context.WithTimeout(context.Background(), copyTime)
		defer cancel()
		c, err := l.options.Dial(ctx, w.network, w.address)
		if err != nil {
			return // the broker is away: this copy got lost
		}
		defer c.Close()
		deadline, _ := ctx.Deadline()
		if c.SetDeadline(deadline) != nil {
			return
		}
		if _, err := c.Write(request); err != nil {
			return
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err == nil {
			l.recorder.Add(came)
		}
	})
}
