package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Rule says which events something is done to, and what. Parse makes one.
type Rule struct {
	Act   Act
	Match Match

	// Of the events that match, counted apart for each value of Per, the rule
	// acts on Times ones from the Nth on; 0 Times: on all. Chance, when above 0,
	// has it act on that share of them, chosen by Seed and by which event it is.
	Nth, Times int64
	Per        string
	Chance     float64
	Seed       uint64

	For    time.Duration // Delay, Reorder at most; acts within a broker
	After  time.Duration // Duplicate: how long after the answer
	By     time.Duration // Clock
	At     string        // Delay, Close, Error: "request" or "answer"
	Then   string        // Drop, LoseAnswer: "close" the connection, or let it "hang"
	Behind int64         // Reorder: how many have to overtake
	Code   int16         // Error
}

// A Match is what an event must be like. What is empty matches all.
type Match struct {
	APIs          []int16
	Client        string // may end in *, as may Topic, Group and TransactionalID
	Topic         string
	Partition     *int32
	Group         string
	Transactional string
	ProducerID    *int64
	Sequence      *int32 // the first of a batch that a Produce has
	Node          *int32
}

// Matches says whether the event is like that. One part of it must have all that
// is asked of topic, partition, producer id and sequence.
func (m *Match) Matches(e *Event) bool {
	if len(m.APIs) > 0 && !slices.Contains(m.APIs, e.Key) || m.Node != nil && *m.Node != e.Node {
		return false
	}
	if !like(m.Client, e.ClientID) || !like(m.Transactional, e.TransactionalID) {
		return false
	}
	if m.Group != "" && !slices.ContainsFunc(e.Groups, func(g string) bool { return like(m.Group, g) }) {
		return false
	}
	if m.Topic == "" && m.Partition == nil && m.Sequence == nil {
		return m.ProducerID == nil || *m.ProducerID == e.ProducerID
	}
	return m.part(e) != nil
}

// part is the first part that matches.
func (m *Match) part(e *Event) *Part {
	for i := range e.Parts {
		p := &e.Parts[i]
		pid := p.ProducerID
		if pid < 0 {
			pid = e.ProducerID
		}
		if like(m.Topic, p.Topic) && (m.Partition == nil || *m.Partition == p.Partition) &&
			(m.ProducerID == nil || *m.ProducerID == pid) && (m.Sequence == nil || *m.Sequence == p.Sequence) {
			return p
		}
	}
	return nil
}

// like says whether a name is the wanted one, or begins like one that ends in *.
func like(want, name string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return want == "" || want == name
}

// String is the rule as one line that Parse reads again.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(string(r.Act))
	put := func(key, value string) {
		if strings.ContainsAny(value, " \t\"\\") || value == "" || strconv.Quote(value) != `"`+value+`"` {
			value = strconv.Quote(value)
		}
		b.WriteString(" " + key + "=" + value)
	}
	for _, k := range keys {
		if value := k.get(&r); value != "" && (k.anywhere || slices.Contains(kinds[r.Act].keys, k.name)) {
			put(k.name, value)
		}
	}
	return b.String()
}

// A key is one key=value of a rule. set wants a value that was checked for its
// length only; get is "" for what a rule has by default.
type key struct {
	name     string
	anywhere bool // not of some acts only
	want     string
	set      func(r *Rule, value string) error
	get      func(r *Rule) string
}

// matching are the keys that say which events.
var matching = []string{"api", "client", "topic", "partition", "group", "txid", "pid", "seq", "node"}

var keys = [...]key{
	{"api", true, "names of APIs such as Produce,EndTxn", (*Rule).setAPIs, (*Rule).apis},
	textKey("client", func(r *Rule) *string { return &r.Match.Client }),
	textKey("topic", func(r *Rule) *string { return &r.Match.Topic }),
	numberKey("partition", func(r *Rule) **int32 { return &r.Match.Partition }),
	textKey("group", func(r *Rule) *string { return &r.Match.Group }),
	textKey("txid", func(r *Rule) *string { return &r.Match.Transactional }),
	numberKey("pid", func(r *Rule) **int64 { return &r.Match.ProducerID }),
	numberKey("seq", func(r *Rule) **int32 { return &r.Match.Sequence }),
	numberKey("node", func(r *Rule) **int32 { return &r.Match.Node }),
	countKey("nth", true, 1, func(r *Rule) *int64 { return &r.Nth }),
	{"times", true, "a number from 1 on, or all", (*Rule).setTimes, (*Rule).times},
	choiceKey("per", true, func(r *Rule) *string { return &r.Per }, "all", "client", "connection", "group", "partition", "pid", "txid"),
	{"chance", true, "a share above 0, at most 1", (*Rule).setChance, (*Rule).chance},
	{"seed", true, "a number", (*Rule).setSeed, (*Rule).seed},
	durationKey("for", func(r *Rule) *time.Duration { return &r.For }),
	durationKey("after", func(r *Rule) *time.Duration { return &r.After }),
	durationKey("by", func(r *Rule) *time.Duration { return &r.By }),
	choiceKey("at", false, func(r *Rule) *string { return &r.At }, "request", "answer"),
	choiceKey("then", false, func(r *Rule) *string { return &r.Then }, "close", "hang"),
	countKey("behind", false, 1, func(r *Rule) *int64 { return &r.Behind }),
	{"code", false, "an error code such as NOT_LEADER_OR_FOLLOWER, or its number", (*Rule).setCode, (*Rule).code},
}

func textKey(name string, at func(*Rule) *string) key {
	return key{name, true, "a name, or the beginning of one and *", func(r *Rule, v string) error {
		if v == "" {
			return errValue
		}
		*at(r) = v
		return nil
	}, func(r *Rule) string { return *at(r) }}
}

func numberKey[N int32 | int64](name string, at func(*Rule) **N) key {
	return key{name, true, "a number from 0 on", func(r *Rule, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 || int64(N(n)) != n {
			return errValue
		}
		*at(r) = new(N(n))
		return nil
	}, func(r *Rule) string {
		if n := *at(r); n != nil {
			return fmt.Sprint(*n)
		}
		return ""
	}}
}

func countKey(name string, anywhere bool, fallback int64, at func(*Rule) *int64) key {
	return key{name, anywhere, "a number from 1 on", func(r *Rule, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			return errValue
		}
		*at(r) = n
		return nil
	}, func(r *Rule) string {
		if *at(r) == fallback {
			return ""
		}
		return strconv.FormatInt(*at(r), 10)
	}}
}

// choiceKey is one of some words, the first by default.
func choiceKey(name string, anywhere bool, at func(*Rule) *string, words ...string) key {
	return key{name, anywhere, strings.Join(words, " or "), func(r *Rule, v string) error {
		if !slices.Contains(words, v) {
			return errValue
		}
		*at(r) = v
		return nil
	}, func(r *Rule) string {
		if *at(r) == words[0] {
			return ""
		}
		return *at(r)
	}}
}

// maxDuration bounds what a rule may hold.
const maxDuration = 24 * time.Hour

func durationKey(name string, at func(*Rule) *time.Duration) key {
	return key{name, false, "a time such as 500ms or 2s, at most 24h", func(r *Rule, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > maxDuration {
			return errValue
		}
		*at(r) = d
		return nil
	}, func(r *Rule) string {
		if *at(r) == 0 {
			return ""
		}
		return at(r).String()
	}}
}

func (r *Rule) setAPIs(v string) error {
	for name := range strings.SplitSeq(v, ",") {
		key := keyOf(name)
		if key < 0 {
			return errValue
		}
		if !slices.Contains(r.Match.APIs, key) {
			r.Match.APIs = append(r.Match.APIs, key)
		}
	}
	return nil
}

// keyOf finds an API by its name in any case; -1 for none.
func keyOf(name string) int16 {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.RequestForKey(key) != nil && strings.EqualFold(kmsg.NameForKey(key), name) {
			return key
		}
	}
	return -1
}

func (r *Rule) apis() string {
	var names []string
	for _, key := range r.Match.APIs {
		names = append(names, kmsg.NameForKey(key))
	}
	return strings.Join(names, ",")
}

func (r *Rule) setTimes(v string) error {
	if v == "all" {
		r.Times = 0
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 {
		return errValue
	}
	r.Times = n
	return nil
}

func (r *Rule) times() string {
	if r.Times == 0 {
		return "all"
	}
	return strconv.FormatInt(r.Times, 10)
}

func (r *Rule) setChance(v string) (err error) {
	if r.Chance, err = strconv.ParseFloat(v, 64); err != nil || !(r.Chance > 0 && r.Chance <= 1) {
		return errValue
	}
	return nil
}

func (r *Rule) chance() string {
	if r.Chance == 0 {
		return ""
	}
	return strconv.FormatFloat(r.Chance, 'g', -1, 64)
}

func (r *Rule) setSeed(v string) (err error) {
	if r.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
		return errValue
	}
	return nil
}

func (r *Rule) seed() string {
	if r.Seed == 0 {
		return ""
	}
	return strconv.FormatUint(r.Seed, 10)
}

func (r *Rule) setCode(v string) error {
	n, err := strconv.ParseInt(v, 10, 16)
	if err != nil {
		n = codeOf(v)
	}
	if kerr.TypedErrorForCode(int16(n)) == nil {
		return errValue
	}
	r.Code = int16(n)
	return nil
}

// codeOf finds an error by its name; 0, which is none, if there is none.
func codeOf(name string) int64 {
	for code := int64(-1); code < 1000; code++ {
		if e := kerr.TypedErrorForCode(int16(code)); e != nil && strings.EqualFold(e.Message, name) {
			return code
		}
	}
	return 0
}

func (r *Rule) code() string {
	if e := kerr.TypedErrorForCode(r.Code); e != nil {
		return e.Message
	}
	return ""
}
