package main

import (
	"fmt"
	"os"
	"strings"
)

// A step is one command with what it was given, printed and returned, as in
//
//	$ kafka-topics --bootstrap-server $B --list
//	1 orders
//	exit 0
//
// Lines that begin with < are its input, with 1 its standard output, with 2
// its standard error. A line "why ID" names the row of docs/differences.md that
// explains why the step is not Kafka's.
type step struct {
	command string // with " (n)" behind it where the same command ran before
	why     string
	lines   []string // all but the command and the why
}

func (s step) text() string { return strings.Join(s.lines, "\n") }

// readTranscript reads the steps of a file. A file that is not there has none.
func readTranscript(name string) ([]step, error) {
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var steps []step
	seen := make(map[string]int)
	for i, line := range strings.Split(string(text), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			if seen[command]++; seen[command] > 1 {
				command = fmt.Sprintf("%s (%d)", command, seen[command])
			}
			steps = append(steps, step{command: command})
			continue
		}
		if line == "" {
			continue
		}
		if len(steps) == 0 {
			return nil, fmt.Errorf("%s:%d: %q before the first command", name, i+1, line)
		}
		last := &steps[len(steps)-1]
		if why, ok := strings.CutPrefix(line, "why "); ok {
			last.why = why
			continue
		}
		last.lines = append(last.lines, line)
	}
	return steps, nil
}

// writeTranscript writes steps so that readTranscript gives them again.
func writeTranscript(name string, steps []step) error {
	var text strings.Builder
	for i, s := range steps {
		if i > 0 {
			text.WriteByte('\n')
		}
		fmt.Fprintf(&text, "$ %s\n", s.command)
		if s.why != "" {
			fmt.Fprintf(&text, "why %s\n", s.why)
		}
		for _, line := range s.lines {
			text.WriteString(line + "\n")
		}
	}
	return os.WriteFile(name, []byte(text.String()), 0o644)
}
