package conformance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oncelog/oncelog/conformance/wire"
)

// varies stands for an answer that was not the same in each round.
const varies = "(varies)"

// salient are the fields of requests and answers that rules are about. Names
// of topics and groups, messages, throttling and the like are left out.
var salient = map[string]bool{
	"Acks": true, "ProducerID": true, "ProducerEpoch": true, "BaseSequence": true, "Records": true, "Control": true, "Commit": true,
	"Error": true, "BaseOffset": true, "HighWatermark": true, "LastStableOffset": true, "LogStartOffset": true, "FirstOffset": true,
	"IsolationLevel": true, "FetchOffset": true, "CurrentLeaderEpoch": true, "LeaderEpoch": true, "Offset": true, "EndOffset": true,
	"Generation": true, "State": true, "TransactionState": true, "CoordinatorType": true, "RequireStable": true,
	"SessionEpoch": true, "ReplicationFactor": true, "NumPartitions": true, "ProtocolType": true, "Protocol": true,
}

// unset are the fields that are not told where they are -1, for none.
var unset = map[string]bool{"LeaderEpoch": true, "CurrentLeaderEpoch": true, "LogStartOffset": true, "EndOffset": true}

// noWatermark is the high watermark of a fetch that tells none (KIP-1166).
const noWatermark = "9223372036854775807"

// exchangeSeparator stands between a request and its answer.
const exchangeSeparator = " -> "

// A normaliser takes out of what one case saw all that another run of it would
// see otherwise: names, ids, ports and times.
type normaliser struct {
	prefix    string // of the names that the case gave
	producers map[string]string
	addresses []string
}

func newNormaliser(prefix string, addresses []string) *normaliser {
	return &normaliser{prefix: prefix + "-", producers: map[string]string{}, addresses: addresses}
}

var (
	uuidText     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	idText       = regexp.MustCompile(`\[(\d{1,3} ){15}\d{1,3}\]`)
	timeText     = regexp.MustCompile(`\b1[5-9]\d{11}\b`) // ms since 1970, of this century's first half
	durationText = regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s|m\d+s)\b`)
	numberText   = regexp.MustCompile(`\b\d{2,}\b`)
	valueText    = regexp.MustCompile(`\b(\d+)/(\d+)/(\d+)\b`) // producer id, epoch and sequence, as batch names its records
)

// text is a text without what differs from run to run.
func (n *normaliser) text(s string) string {
	s = strings.ReplaceAll(s, n.prefix, "")
	for _, addr := range n.addresses {
		s = strings.ReplaceAll(s, addr, "host:port")
	}
	s = uuidText.ReplaceAllString(s, "(uuid)")
	s = idText.ReplaceAllString(s, "(id)")
	s = timeText.ReplaceAllString(s, "(time)")
	s = durationText.ReplaceAllString(s, "(duration)")
	return valueText.ReplaceAllStringFunc(s, func(value string) string {
		id, rest, _ := strings.Cut(value, "/")
		return n.producer(id) + "/" + rest
	})
}

// looked is what a check saw. A producer id is known there only by what the
// check is called.
func (n *normaliser) looked(what, got string) string {
	got = n.text(got)
	if !strings.Contains(what, "producer id") {
		return got
	}
	return numberText.ReplaceAllStringFunc(got, func(number string) string {
		return cmp.Or(n.producers[number], number)
	})
}

// producer names a producer id by the order in which it was seen.
func (n *normaliser) producer(id string) string {
	if id == "-1" {
		return id
	}
	if n.producers[id] == "" {
		n.producers[id] = fmt.Sprintf("P%d", len(n.producers)+1)
	}
	return n.producers[id]
}

// exchanges tells each request that the case sent and its answer, by their
// salient fields, each pair once. Attempts that were made again are left out,
// and so is what whole clients send, which nobody chose.
func (n *normaliser) exchanges(entries []wire.Entry) []string {
	type asked struct {
		conn        int
		correlation int32
	}
	answers := map[asked]wire.Entry{}
	for _, e := range entries {
		if e.Direction == "answer" {
			answers[asked{e.Conn, e.Correlation}] = e
		}
	}
	var told []string
	for _, e := range entries {
		if e.Direction != "request" || e.Retried || e.ClientID == wholeClient {
			continue
		}
		request := e.What()
		if e.Problem != "" {
			request += " (" + e.Problem + ")"
		}
		line := strings.TrimSpace(request+" "+n.fields(e.Body)) + exchangeSeparator
		if answer, ok := answers[asked{e.Conn, e.Correlation}]; ok && e.API != "" {
			line += strings.TrimSpace(n.fields(answer.Body) + " " + answer.Problem)
		} else {
			line += "no answer"
		}
		if !slices.Contains(told, line) {
			told = append(told, line)
		}
	}
	return told
}

// fields lists the salient fields of a body in order, as name=value.
func (n *normaliser) fields(body json.RawMessage) string {
	var out []string
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	name := ""
	var inObject []bool // for each open bracket: whether it is an object
	for {
		token, err := dec.Token()
		if err != nil {
			return strings.Join(settled(out), " ") // the end: the body was written by this program
		}
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				inObject = append(inObject, d == '{')
			} else {
				inObject = inObject[:len(inObject)-1]
			}
			name = ""
			continue
		}
		if key, ok := token.(string); ok && name == "" && len(inObject) > 0 && inObject[len(inObject)-1] {
			name = key
			continue
		}
		value := fmt.Sprint(token)
		if salient[name] && token != nil && value != "" && !(unset[name] && value == "-1") && value != noWatermark {
			value = n.text(value)
			if name == "ProducerID" {
				value = n.producer(fmt.Sprint(token))
			}
			out = append(out, name+"="+value)
		}
		name = ""
	}
}

// settled takes out what is told by a cluster's other topics and by the order
// in which Kafka's hash tables list partitions: codes in a row are sorted, and
// a field that is told again at once is told once.
func settled(fields []string) []string {
	const code = "Error="
	for i := 0; i < len(fields); i++ {
		j := i
		for j < len(fields) && strings.HasPrefix(fields[j], code) {
			j++
		}
		slices.Sort(fields[i:j])
		i = max(i, j-1)
	}
	return slices.Compact(fields)
}
