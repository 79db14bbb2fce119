package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Schema is the version of the JSON that a report is written as.
const Schema = 1

// A Report is what a run measured, and whether its data was right.
type Report struct {
	Schema           int                `json:"schema"`
	Bench            Kind               `json:"bench"`
	Started          time.Time          `json:"started"`
	Client           string             `json:"client"`
	Broker           Broker             `json:"broker"`
	Settings         Settings           `json:"settings"`
	Interrupted      bool               `json:"interrupted"`
	Seconds          float64            `json:"seconds"` // of the measured time
	Records          int64              `json:"records"` // done within it
	Bytes            int64              `json:"bytes"`   // of their values
	RecordsPerSecond float64            `json:"records_per_second"`
	MBPerSecond      float64            `json:"mb_per_second"` // 10^6 bytes
	Transactions     *Transactions      `json:"transactions,omitempty"`
	Latency          map[string]Latency `json:"latency_ms"`
	SenderLate       float64            `json:"sender_late_ms"` // at most, by the run's own doing or because it was held up
	Errors           int64              `json:"errors"`
	FirstError       string             `json:"first_error,omitempty"`
	Check            Check              `json:"check"`
	Series           []Second           `json:"series"`
}

// A Broker is what the target says of itself.
type Broker struct {
	Addresses []string `json:"addresses"`
	ClusterID string   `json:"cluster_id"`
	Brokers   int      `json:"brokers"`
	Speaks    string   `json:"speaks"` // guessed from ApiVersions, such as "v4.1"
}

// Transactions are the transactions that ended within the measured time.
type Transactions struct {
	Committed        int64   `json:"committed"`
	Aborted          int64   `json:"aborted"`
	CommitsPerSecond float64 `json:"commits_per_second"`
}

// A Latency is the spread of one latency, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	Max   float64 `json:"max"`
}

// A Second is one second of the measured time; latencies are of what ended in it.
type Second struct {
	Second  int64   `json:"second"`
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	Errors  int64   `json:"errors"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

// latencyNames is the order in which latencies are shown, and what they are.
var latencyNames = []struct{ name, means string }{
	{"ack", "due to acknowledged"},
	{"e2e", "due to read"},
	{"first_record", "start to first record"},
	{"fetch", "a fetch request to its answer"},
	{"commit", "transaction due to committed"},
	{"abort", "transaction due to aborted"},
	{"end_txn", "EndTransaction to its answer"},
	{"visible", "transaction due to read committed"},
}

// OK says that nothing failed and the data is right.
func (r Report) OK() bool { return r.Check.OK && r.Errors == 0 }

// WriteTable writes the report for people.
func (r Report) WriteTable(out io.Writer) error {
	w := &printer{out: out}
	w.printf("%s · %s · broker speaks %s at %s (%d broker(s))\n", r.Bench, r.Client, r.Broker.Speaks, strings.Join(r.Broker.Addresses, ","), r.Broker.Brokers)
	w.printf("%s\n\n", r.Settings.words(r.Bench))
	rows := [][]string{
		{"SECONDS", "RECORDS", "RECORDS/S", "MB/S", "ERRORS"},
		{figure(r.Seconds), strconv.FormatInt(r.Records, 10), figure(r.RecordsPerSecond), figure(r.MBPerSecond), strconv.FormatInt(r.Errors, 10)},
	}
	if t := r.Transactions; t != nil {
		rows[0] = append(rows[0], "COMMITTED", "ABORTED", "COMMITS/S")
		rows[1] = append(rows[1], strconv.FormatInt(t.Committed, 10), strconv.FormatInt(t.Aborted, 10), figure(t.CommitsPerSecond))
	}
	w.table(rows)
	rows = [][]string{{"LATENCY MS", "P50", "P90", "P99", "P99.9", "MAX", "COUNT", "FROM"}}
	for _, n := range latencyNames {
		l, ok := r.Latency[n.name]
		if !ok {
			continue
		}
		rows = append(rows, []string{n.name, figure(l.P50), figure(l.P90), figure(l.P99), figure(l.P999), figure(l.Max), strconv.FormatInt(l.Count, 10), n.means})
	}
	if len(rows) > 1 {
		w.printf("\n")
		w.table(rows)
	}
	w.printf("\n%s\n", r.verdict())
	return w.err
}

// verdict is the last line: what the run says of its own data.
func (r Report) verdict() string {
	c := r.Check
	var b strings.Builder
	fmt.Fprintf(&b, "data %s: %d written", map[bool]string{true: "ok", false: "WRONG"}[c.OK], c.Written)
	if c.Stored >= 0 {
		fmt.Fprintf(&b, ", %d stored", c.Stored)
	}
	if c.Read >= 0 {
		fmt.Fprintf(&b, ", %d read", c.Read)
	}
	fmt.Fprintf(&b, ", %d missing, %d duplicates, %d out of order, %d damaged", c.Missing, c.Duplicates, c.OutOfOrder, c.Damaged)
	if r.Bench == Txn {
		fmt.Fprintf(&b, ", %d of aborted transactions visible", c.Aborted)
	}
	for _, problem := range c.Problems {
		fmt.Fprintf(&b, "\n  %s", problem)
	}
	if r.FirstError != "" {
		fmt.Fprintf(&b, "\n  first error: %s", r.FirstError)
	}
	if r.Interrupted {
		b.WriteString("\n  interrupted: the figures are of what was done until then")
	}
	return b.String()
}

// words are the settings in a line.
func (s Settings) words(kind Kind) string {
	rate := "as fast as possible"
	if s.Rate > 0 {
		rate = figure(s.Rate) + map[bool]string{true: " transactions/s", false: " records/s"}[kind == Txn]
	}
	line := fmt.Sprintf("topic %s, %d partition(s), %d-byte records, %s, %d producer(s), acks %s, compression %s, batches of %d bytes, linger %v",
		s.Topic, s.Partitions, s.Size, rate, s.Producers, s.Acks, s.Compression, s.BatchBytes, time.Duration(s.Linger))
	if kind != Produce || s.ReadBack {
		line += fmt.Sprintf(", %d consumer(s)", s.Consumers)
	}
	if kind == Txn {
		line += fmt.Sprintf(", %d record(s) a transaction, %s of them aborted", s.TransactionSize, figure(s.AbortRatio))
	}
	return line
}

// figure shows a number with three digits that count, or all before the point.
func figure(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// A printer keeps the first error of many writes.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

func (p *printer) table(rows [][]string) {
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if p.err == nil {
			_, p.err = fmt.Fprintln(w, strings.Join(row, "\t"))
		}
	}
	if p.err == nil {
		p.err = w.Flush()
	}
}
