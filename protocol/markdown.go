package protocol

import (
	"fmt"
	"strings"
)

// Markdown is the table of APIs for docs/apis.md.
func Markdown(t *Table) string {
	var b strings.Builder
	b.WriteString("| key | API | versions | flexible from |\n|---:|---|---|---|\n")
	for _, a := range t.APIs() {
		flexible := "-"
		for v := a.min; v <= a.max; v++ {
			if a.flexible[v] {
				flexible = fmt.Sprint(v)
				break
			}
		}
		versions := fmt.Sprint(a.min)
		if a.max > a.min {
			versions = fmt.Sprintf("%d-%d", a.min, a.max)
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", a.key, a.Name(), versions, flexible)
	}
	return b.String()
}
