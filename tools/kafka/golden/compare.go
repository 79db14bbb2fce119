package main

import (
	"fmt"
	"strings"
)

// A verdict is what became of one step.
type verdict struct {
	command string
	result  string // same, explained (ID) or DIFFERENT
	detail  []string
}

const (
	same      = "same"
	different = "DIFFERENT"
)

func byCommand(steps []step) map[string]step {
	all := make(map[string]step, len(steps))
	for _, s := range steps {
		all[s.command] = s
	}
	return all
}

// compare judges each step of ours: it is Kafka's, or it is what explained
// says and reasons has a row for that, or it is different.
func compare(ours, kafka, explained []step, reasons string) []verdict {
	recorded, allowed, ran := byCommand(kafka), byCommand(explained), byCommand(ours)
	var all []verdict
	for _, s := range ours {
		v := verdict{command: s.command, result: different}
		want, known := recorded[s.command]
		why, differs := allowed[s.command]
		switch {
		case !known:
			v.detail = []string{"not recorded on Apache Kafka: make tools-golden"}
		case want.text() == s.text() && differs:
			v.detail = []string{"is Kafka's now: take its explanation (" + why.why + ") away"}
		case want.text() == s.text():
			v.result = same
		case !differs:
			v.detail = diff(want.lines, s.lines)
		case !strings.Contains(reasons, "| `"+why.why+"` |"):
			v.detail = []string{"docs/differences.md has no row `" + why.why + "`"}
		case why.text() != s.text():
			v.detail = append([]string{"explained by " + why.why + ", but not as it is now:"}, diff(why.lines, s.lines)...)
		default:
			v.result = "explained (" + why.why + ")"
		}
		all = append(all, v)
	}
	for _, s := range kafka {
		if _, ok := ran[s.command]; !ok {
			all = append(all, verdict{s.command, different, []string{"recorded on Apache Kafka but no longer among the steps: make tools-golden"}})
		}
	}
	return all
}

// accept is the new list of explained steps: what differs now, with the reason
// that stood there, or "?" which compare refuses.
func accept(ours, kafka, explained []step) []step {
	recorded, allowed := byCommand(kafka), byCommand(explained)
	var differing []step
	for _, s := range ours {
		if want, ok := recorded[s.command]; !ok || want.text() == s.text() {
			continue
		}
		if s.why = allowed[s.command].why; s.why == "" {
			s.why = "?"
		}
		differing = append(differing, s)
	}
	return differing
}

// diff shows the lines of want (-) and got (+) that the longest common
// subsequence of both does not hold.
func diff(want, got []string) []string {
	longest := make([][]int, len(want)+1)
	for i := range longest {
		longest[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			i, j = i+1, j+1
		case j == len(got) || i < len(want) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "- "+want[i])
			i++
		default:
			lines = append(lines, "+ "+got[j])
			j++
		}
	}
	return lines
}

// report prints the table, then what is different, and fails if anything is.
func report(all []verdict) error {
	count := make(map[string]int)
	for _, v := range all {
		short := v.command
		if len(short) > 120 {
			short = short[:117] + "..."
		}
		fmt.Printf("%-28s %s\n", v.result, strings.ReplaceAll(short, " --bootstrap-server $B", ""))
		kind, _, _ := strings.Cut(v.result, " ")
		count[kind]++
	}
	for _, v := range all {
		if v.result == different {
			fmt.Printf("\n%s $ %s\n  %s\n", different, v.command, strings.Join(v.detail, "\n  "))
		}
	}
	fmt.Printf("\n%d same, %d explained, %d different\n", count[same], count["explained"], count[different])
	if count[different] > 0 {
		return fmt.Errorf("%d of %d steps differ from Apache Kafka without an explanation", count[different], len(all))
	}
	return nil
}
