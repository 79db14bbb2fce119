package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A rule replaces what differs from run to run. Where numbered, each distinct
// text gets a number by its first appearance, so that two answers that should
// name the same thing still must.
type rule struct {
	pattern  *regexp.Regexp
	with     string
	numbered bool
}

// rules are applied to each line in this order.
var rules = []rule{
	{pattern: regexp.MustCompile(`\[20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]`), with: "[time]"},
	{pattern: regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[:.,]\d{3}`), with: "<time>"},
	{pattern: regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), with: "<uuid>", numbered: true},
	{pattern: regexp.MustCompile(`\b(1[89]|17[5-9])\d{10,11}\b`), with: "<ms>"},
	{pattern: regexp.MustCompile(`console-consumer-\d+`), with: "console-consumer-<n>"},
	{pattern: regexp.MustCompile(`adminclient-\d+`), with: "adminclient-<n>"},
	{pattern: regexp.MustCompile(`(FinalizedVersionLevel: .* Epoch: )\d+`), with: "${1}<n>"},
	{pattern: regexp.MustCompile(`(HighWatermark: +)\d+`), with: "${1}<n>"},
	{pattern: regexp.MustCompile(`tries=\d+`), with: "tries=<n>"},
	{pattern: regexp.MustCompile(`after \d+ attempt`), with: "after <n> attempt"},
	// How long a transaction has been open, padded to its column.
	{pattern: regexp.MustCompile(`(<ms> +\t)\d+ *`), with: "${1}<duration>"},
	// What the broker compressed, and what holds the time of day.
	{pattern: regexp.MustCompile(`size: \d+ magic: 2 compresscodec: gzip crc: \d+`), with: "size: <n> magic: 2 compresscodec: gzip crc: <n>"},
	{pattern: regexp.MustCompile(`(CreateTime: <ms>.* crc: )\d+`), with: "${1}<n>"},
	// Rates of the performance tools.
	{pattern: regexp.MustCompile(`\d+(\.\d+)? (records/sec|MB/sec|ms\b)`), with: "<n> $2"},
	{pattern: regexp.MustCompile(`(<time>, <time>, [\d.]+), [\d.]+, (\d+), .*`), with: "$1, <n>, $2, <n>"},
}

// id is a topic or cluster id, 22 characters of base64, behind its name.
var id = regexp.MustCompile(`((?:[tT]opicId|Cluster ?I[dD])"?: *"?)([A-Za-z0-9_-]{22})\b`)

// A normaliser replaces what differs from run to run in the lines of one transcript.
type normaliser struct {
	fixed *strings.Replacer
	seen  map[string]string
	count map[string]int
}

// newNormaliser takes texts that are known to differ and what stands for them, in pairs.
func newNormaliser(pairs []string) *normaliser {
	return &normaliser{fixed: strings.NewReplacer(pairs...), seen: make(map[string]string), count: make(map[string]int)}
}

// steps normalises every line, and sorts those of steps that ask for it (the
// exit code stays last: output begins with a digit). Frames of stack traces are left out: they tell
// of the tool and of how it was started.
func (n *normaliser) steps(steps []step) {
	for i := range steps {
		lines := steps[i].lines[:0]
		for _, line := range steps[i].lines {
			if strings.HasPrefix(line, "2 \tat ") || strings.HasPrefix(line, "2 \t... ") || line == "2" {
				continue
			}
			lines = append(lines, n.line(line))
		}
		if strings.HasPrefix(steps[i].command, "sorted ") {
			slices.Sort(lines)
		}
		steps[i].lines = lines
	}
}

func (n *normaliser) line(line string) string {
	line = n.fixed.Replace(line)
	for _, r := range rules {
		line = r.pattern.ReplaceAllStringFunc(line, func(found string) string {
			if r.numbered {
				return n.name(r.with, found)
			}
			return r.pattern.ReplaceAllString(found, r.with)
		})
	}
	return id.ReplaceAllStringFunc(line, func(found string) string {
		part := id.FindStringSubmatch(found)
		return part[1] + n.name("<id>", part[2])
	})
}

// name is the text that stands for found: "<id>" becomes "<id 3>".
func (n *normaliser) name(with, found string) string {
	if _, known := n.seen[found]; !known {
		n.count[with]++
		n.seen[found] = fmt.Sprintf("%s %d>", strings.TrimSuffix(with, ">"), n.count[with])
	}
	return n.seen[found]
}
