package bench

import "strings"

// A Compared is one figure of two reports.
type Compared struct {
	Figure string  `json:"figure"`
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	Ratio  float64 `json:"ratio"` // B/A; 0 when A is 0
}

// Row is the figure as a line of a table.
func (c Compared) Row() []string {
	ratio := "-"
	if c.A != 0 {
		ratio = figure(c.Ratio)
	}
	return []string{c.Figure, figure(c.A), figure(c.B), ratio}
}

// Compare lists the figures that both reports have.
func Compare(a, b Report) []Compared {
	var all []Compared
	add := func(name string, a, b float64) {
		c := Compared{Figure: name, A: a, B: b}
		if a != 0 {
			c.Ratio = b / a
		}
		all = append(all, c)
	}
	add("seconds", a.Seconds, b.Seconds)
	add("records/s", a.RecordsPerSecond, b.RecordsPerSecond)
	add("MB/s", a.MBPerSecond, b.MBPerSecond)
	if a.Transactions != nil && b.Transactions != nil {
		add("commits/s", a.Transactions.CommitsPerSecond, b.Transactions.CommitsPerSecond)
	}
	for _, n := range latencyNames {
		x, inA := a.Latency[n.name]
		y, inB := b.Latency[n.name]
		if !inA || !inB {
			continue
		}
		name := strings.ReplaceAll(n.name, "_", " ")
		add(name+" p50 ms", x.P50, y.P50)
		add(name+" p90 ms", x.P90, y.P90)
		add(name+" p99 ms", x.P99, y.P99)
		add(name+" p99.9 ms", x.P999, y.P999)
		add(name+" max ms", x.Max, y.Max)
	}
	add("errors", float64(a.Errors), float64(b.Errors))
	return all
}
