package conformance

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// recordings holds what Apache Kafka answered, a file a version and setting.
//
//go:embed oracle/*.json
var recordings embed.FS

// A Recording is what one broker answered to every case, without what differs
// from run to run: names, ids, times and what was asked again until it settled.
type Recording struct {
	Name     string           `json:"name"` // such as "kafka-4.3.1"
	Suite    string           `json:"suite"`
	Speaks   string           `json:"speaks"`
	Features map[string]int16 `json:"features"`
	Rules    []RecordedRule   `json:"rules"`
}

// A RecordedRule is one case as the broker of a recording answered it.
type RecordedRule struct {
	ID        string         `json:"id"`
	Verdict   Verdict        `json:"verdict"`
	Reason    string         `json:"reason,omitempty"`
	Looks     []RecordedLook `json:"looks,omitempty"`
	Exchanges []string       `json:"exchanges,omitempty"` // "request -> answer", each once, in order
}

// A RecordedLook is one thing a case looked at. It is written as one line.
type RecordedLook struct{ What, Answer string }

const lookSeparator = " = "

// MarshalText writes "what = answer".
func (l RecordedLook) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(l.What, lookSeparator, " is ") + lookSeparator + l.Answer), nil
}

// UnmarshalText reads "what = answer".
func (l *RecordedLook) UnmarshalText(text []byte) error {
	var ok bool
	if l.What, l.Answer, ok = strings.Cut(string(text), lookSeparator); !ok {
		return fmt.Errorf("%q is no look of a recording", text)
	}
	return nil
}

// oracle reads the recordings that are part of the program, in the order of
// their names. One that cannot be read is a bug of this package.
var oracle = sync.OnceValue(func() []Recording {
	files, err := recordings.ReadDir("oracle")
	if err != nil {
		panic(err)
	}
	var all []Recording
	for _, f := range files {
		raw, err := recordings.ReadFile("oracle/" + f.Name())
		if err != nil {
			panic(err)
		}
		var r Recording
		if err := json.Unmarshal(raw, &r); err != nil {
			panic(fmt.Errorf("oracle/%s: %w", f.Name(), err))
		}
		all = append(all, r)
	}
	return all
})

// WriteJSON writes the recording as one JSON document.
func (r Recording) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// ReadRecording reads what WriteJSON wrote.
func ReadRecording(r io.Reader) (Recording, error) {
	var recording Recording
	err := json.NewDecoder(r).Decode(&recording)
	return recording, err
}

// rule finds a case that the broker of the recording was asked and kept.
func (r Recording) rule(id string) (RecordedRule, bool) {
	i := slices.IndexFunc(r.Rules, func(one RecordedRule) bool { return one.ID == id && one.Verdict == Pass })
	if i < 0 {
		return RecordedRule{}, false
	}
	return r.Rules[i], true
}

// recordedBy names the recordings in which a rule was kept. None: the rule is
// only argued.
func recordedBy(id string) []string {
	names := []string{}
	for _, r := range oracle() {
		if _, ok := r.rule(id); ok {
			names = append(names, r.Name)
		}
	}
	return names
}

// recordedFor is the rule in the recording that is nearest to a broker with
// these features: one with the same transaction protocol, or else any.
func recordedFor(id string, features map[string]int16) (from string, rule RecordedRule) {
	for _, r := range oracle() {
		one, ok := r.rule(id)
		if ok && (from == "" || r.Features[transactionVersion] == features[transactionVersion]) {
			from, rule = r.Name, one
			if r.Features[transactionVersion] == features[transactionVersion] {
				break
			}
		}
	}
	return from, rule
}

const transactionVersion = "transaction.version"

// tellKafka adds to each check that differs what Kafka answered there.
func tellKafka(checks []Check, id string, features map[string]int16, n *normaliser) {
	from, rule := recordedFor(id, features)
	if from == "" {
		return
	}
	asked := map[string]int{} // how often a thing was looked at so far
	for i := range checks {
		c := &checks[i]
		if c.retried {
			continue
		}
		what := strings.ReplaceAll(n.text(c.What), lookSeparator, " is ")
		answer, ok := rule.look(what, asked[what])
		asked[what]++
		if !c.OK && ok && answer != varies {
			c.Kafka = answer + " (" + from + ")"
		}
	}
}

// look is the answer to the nth look at a thing, from 0.
func (r RecordedRule) look(what string, nth int) (answer string, ok bool) {
	for _, l := range r.Looks {
		if l.What != what {
			continue
		}
		if nth == 0 {
			return l.Answer, true
		}
		nth--
	}
	return "", false
}

// OracleLine says whether the rule was recorded from Apache Kafka, and where,
// or is only argued.
func (r Result) OracleLine() string { return oracleLine(r.Oracle) }

func oracleLine(names []string) string {
	if len(names) == 0 {
		return "argued: no recording of Apache Kafka holds it"
	}
	return "recorded: " + strings.Join(names, ", ")
}
