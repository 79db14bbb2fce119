package conformance

import (
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// String is a need as people say it.
func (n Need) String() string {
	switch {
	case n.Brokers > 0:
		return plural(n.Brokers, "broker")
	case n.Feature != "":
		return fmt.Sprintf("%s=%d", n.Feature, n.Level)
	case n.Kafka != "":
		return fmt.Sprintf("Kafka %s (%s v%d)", n.Kafka, kmsg.NameForKey(n.Key), n.Version)
	default:
		return fmt.Sprintf("%s v%d", kmsg.NameForKey(n.Key), n.Version)
	}
}

// meanings say what each level asks of a broker.
var meanings = map[Level]string{
	Must:     "a broker that differs fails",
	Should:   "a client can live without it: a difference is noted, and fails a strict run",
	Observed: "what Apache Kafka was seen to do: a difference is noted",
}

// An Explanation is all that is known of a rule without asking a broker.
type Explanation struct {
	ID          string   `json:"id"`
	Rule        string   `json:"rule"`
	Requirement string   `json:"requirement"`
	Level       Level    `json:"level"`
	Needs       []string `json:"needs"`
	Destructive bool     `json:"destructive"`
	Recorded    []string `json:"recorded"`            // the recordings of Apache Kafka that hold it; none: argued
	From        string   `json:"from,omitempty"`      // the one that follows
	Exchanges   []string `json:"exchanges,omitempty"` // what is sent -> what Kafka answers
	Looks       []string `json:"looks,omitempty"`     // what is looked at = what Kafka answers
}

// Explain tells of the rule of a case.
func Explain(c Case) Explanation {
	e := Explanation{ID: c.ID, Rule: c.Title, Requirement: c.Requirement, Level: c.Level, Needs: []string{}, Destructive: c.Destructive}
	for _, n := range c.Needs {
		e.Needs = append(e.Needs, n.String())
	}
	e.Recorded = recordedBy(c.ID)
	from, rule := recordedFor(c.ID, map[string]int16{transactionVersion: 2})
	e.From, e.Exchanges = from, rule.Exchanges
	for _, l := range rule.Looks {
		e.Looks = append(e.Looks, l.What+lookSeparator+l.Answer)
	}
	return e
}

// WriteText writes an explanation for a terminal.
func (e Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", e.ID, e.Rule)
	fmt.Fprintf(&b, "  comes from  %s\n  level       %s: %s\n", e.Requirement, e.Level, meanings[e.Level])
	if len(e.Needs) > 0 {
		fmt.Fprintf(&b, "  needs       %s; a broker without is skipped\n", strings.Join(e.Needs, ", "))
	}
	if e.Destructive {
		fmt.Fprintf(&b, "  careful     a weak broker does not survive it: it runs last, alone, and only with --destructive\n")
	}
	fmt.Fprintf(&b, "  oracle      %s\n", oracleLine(e.Recorded))
	if e.From != "" {
		fmt.Fprintf(&b, "\n  What is sent, and what %s answers. Each exchange is shown once; what was asked again until it settled is not.\n", e.From)
		for _, line := range e.Exchanges {
			request, answer, _ := strings.Cut(line, exchangeSeparator)
			fmt.Fprintf(&b, "    > %s\n    < %s\n", request, answer)
		}
		fmt.Fprintf(&b, "\n  What is looked at, and what was seen.\n")
		for _, line := range e.Looks {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  run it      %s\n", Result{ID: e.ID, Destructive: e.Destructive}.Rerun([]string{"HOST:PORT"}))
	_, err := io.WriteString(w, b.String())
	return err
}
