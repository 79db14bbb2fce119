package fault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// defaultReorder bounds how long a request waits to be overtaken.
	defaultReorder = 10 * time.Second
	// maxHits is how many hits a Set remembers.
	maxHits = 1024
	// maxParts is how many parts and groups of its event a hit remembers.
	maxParts = 16
	// maxCounted is how many values a rule counts apart; all others share one count.
	maxCounted = 4096
)

// A Set is the rules that are in force. Any goroutine may use it; the zero value
// is empty.
type Set struct {
	mu     sync.Mutex
	rules  []*standing
	nextID int
	serial int64
	hits   []Hit         // the newest maxHits that are done
	moved  chan struct{} // closed and replaced whenever a hit is done or a rule goes
}

// standing is a rule of a Set, and what it has counted.
type standing struct {
	Standing
	counts map[string]int64
}

// A Standing is a rule in force.
type Standing struct {
	ID      string `json:"id"`
	Rule    Rule   `json:"-"`
	Line    string `json:"rule"`
	Matched int64  `json:"matched"` // events that were like it
	Hits    int64  `json:"hits"`    // of those, that it acted on, and that are done
}

// A Hit is one event that a rule acted on.
type Hit struct {
	N       int64     `json:"n"` // counts all hits of the set
	At      time.Time `json:"at"`
	RuleID  string    `json:"rule"`
	Rule    Rule      `json:"-"`
	Act     Act       `json:"act"`
	API     string    `json:"api"`
	Matched int64     `json:"matched"` // which of the events that the rule matched, from 1
	Event   Event     `json:"event"`
	Outcome string    `json:"outcome"` // what came of it, once it is done

	set *Set
}

// Add puts a rule in force and gives it an id.
func (s *Set) Add(r Rule) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rules) >= MaxRules {
		return "", fmt.Errorf("%d rules are in force, want fewer: remove some first", len(s.rules))
	}
	r.Nth = max(r.Nth, 1)
	s.nextID++
	id := strconv.Itoa(s.nextID)
	s.rules = append(s.rules, &standing{Standing: Standing{ID: id, Rule: r, Line: r.String()}, counts: map[string]int64{}})
	return id, nil
}

// Remove takes a rule out of force.
func (s *Set) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(id)
	if at < 0 {
		return fmt.Errorf("rule %q: %w", shorten(id), ErrNoRule)
	}
	s.rules = slices.Delete(s.rules, at, at+1)
	s.move()
	return nil
}

// ErrNoRule says that no rule of that id is in force.
var ErrNoRule = errors.New("no such rule is in force")

// Clear takes all rules out of force. What they hit stays known.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
	s.move()
}

// List is the rules in force, in the order in which they are asked.
func (s *Set) List() []Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Standing, 0, len(s.rules))
	for _, r := range s.rules {
		list = append(list, r.Standing)
	}
	return list
}

// Hits are the newest hits of a rule, of all rules for "".
func (s *Set) Hits(id string) []Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hits []Hit
	for _, h := range s.hits {
		if id == "" || h.RuleID == id {
			hits = append(hits, h)
		}
	}
	return hits
}

// Wait waits until a rule has acted n times, and each of them is done.
func (s *Set) Wait(ctx context.Context, id string, n int64) error {
	for {
		s.mu.Lock()
		at := s.find(id)
		if at < 0 {
			s.mu.Unlock()
			return fmt.Errorf("rule %q: %w", shorten(id), ErrNoRule)
		}
		hits := s.rules[at].Hits
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		if hits >= n {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("rule %s has hit %d times, want %d: %w", id, hits, n, ctx.Err())
		}
	}
}

// Wants says whether a rule may match requests of this API, so that an Event
// need be made of one.
func (s *Set) Wants(key int16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.rules, func(r *standing) bool {
		return len(r.Rule.Match.APIs) == 0 || slices.Contains(r.Rule.Match.APIs, key)
	})
}

// Decide has all rules count an event. The first that is to act on it is told by
// the hit; those behind it lose their turn. nil: nothing is to be done. Who carries
// a hit out calls its Done.
func (s *Set) Decide(e Event) *Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := e
	told.Parts, told.Groups = slices.Clone(e.Parts[:min(len(e.Parts), maxParts)]), slices.Clone(e.Groups[:min(len(e.Groups), maxParts)])
	var hit *Hit
	for _, r := range s.rules {
		if !r.Rule.Match.Matches(&e) {
			continue
		}
		r.Matched++
		if r.due(&e) && hit == nil {
			s.serial++
			hit = &Hit{N: s.serial, At: time.Now(), RuleID: r.ID, Rule: r.Rule, Act: r.Rule.Act, API: e.API(), Matched: r.Matched, Event: told, set: s}
		}
	}
	return hit
}

// Done says that a hit was carried out, and what came of it.
func (h *Hit) Done(outcome string) {
	s := h.set
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Outcome = outcome
	if len(s.hits) == maxHits {
		s.hits = slices.Delete(s.hits, 0, 1)
	}
	s.hits = append(s.hits, *h)
	if at := s.find(h.RuleID); at >= 0 {
		s.rules[at].Hits++
	}
	s.move()
}

func (s *Set) find(id string) int {
	return slices.IndexFunc(s.rules, func(r *standing) bool { return r.ID == id })
}

func (s *Set) move() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// due counts an event that matches and says whether it is one to act on.
func (r *standing) due(e *Event) bool {
	n := r.count(r.identity(e, r.Rule.Per))
	if n < r.Rule.Nth || r.Rule.Times > 0 && r.acted(n) {
		return false
	}
	if r.Rule.Chance == 0 {
		return true
	}
	// By which event it is to its own client, not by how clients take turns.
	who := r.identity(e, "each")
	return share(r.Rule.Seed, who, r.count("each "+who)) < r.Rule.Chance
}

// acted says that the event after which a rule rests has been.
func (r *standing) acted(n int64) bool { return n-r.Rule.Nth >= r.Rule.Times }

func (r *standing) count(who string) int64 {
	if _, known := r.counts[who]; !known && len(r.counts) >= maxCounted {
		who = "all others"
	}
	r.counts[who]++
	return r.counts[who]
}

// identity is by what events are counted apart.
func (r *standing) identity(e *Event, per string) string {
	switch per {
	case "client":
		return e.ClientID
	case "connection":
		return strconv.FormatInt(e.Conn, 10)
	case "group":
		return strings.Join(e.Groups, " ")
	case "partition":
		if p := r.Rule.Match.part(e); p != nil {
			return fmt.Sprint(p.Topic, "-", p.Partition)
		}
	case "pid":
		return strconv.FormatInt(e.ProducerID, 10)
	case "txid":
		return e.TransactionalID
	case "each":
		return fmt.Sprintf("%d %q %q %q %s", e.Key, e.ClientID, e.Groups, e.TransactionalID, r.identity(e, "partition"))
	}
	return ""
}

// share is a number from 0 to 1 that only its arguments decide.
func share(seed uint64, who string, n int64) float64 {
	h := fnv.New64a()
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:], seed)
	binary.BigEndian.PutUint64(numbers[8:], uint64(n))
	_, _ = h.Write(numbers[:]) // a hash takes all
	_, _ = h.Write([]byte(who))
	x := h.Sum64() // FNV's high bits are poor: SplitMix64's finisher
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / math.Exp2(53)
}
