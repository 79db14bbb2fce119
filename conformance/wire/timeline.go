package wire

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oncelog/oncelog/conformance/page"
)

//go:embed timeline.css
var timelineStyle string

// A Fact is one line of what a timeline says before it begins.
type Fact struct{ Name, Value string }

// Timeline writes one page with a line for each request and answer, in order,
// and their decoded fields to unfold.
func (r *Recorder) Timeline(w io.Writer, title string, facts []Fact) error {
	p := page.New(w, title, timelineStyle)
	p.Put("<dl>")
	for _, f := range facts {
		p.Put("<dt>%s</dt><dd>%s</dd>", f.Name, f.Value)
	}
	p.Put("</dl>\n<p class=\"soft\">Each request (→) and answer (←) in order. Pale lines belong to an attempt that was made again.</p>\n")
	p.Put("<table><thead><tr><th>ms</th><th>connection</th><th>what</th><th>error codes</th></tr></thead><tbody>\n")
	for _, e := range r.Entries() {
		e.row(p)
	}
	p.Put("</tbody></table>\n")
	return p.Close()
}

// row writes the line of the table that the entry is.
func (e Entry) row(p *page.Writer) {
	class, arrow, refused := "", "→", ""
	if e.Retried {
		class = "retried"
	}
	if e.Direction == "answer" {
		arrow = "←"
	}
	if slices.ContainsFunc(e.Codes, func(code string) bool { return code != "NONE" }) {
		refused = "fail"
	}
	p.Put(`<tr class="%s"><td class="n">%s</td><td class="n">%s %s</td>`, class, fmt.Sprintf("%.3f", e.Millis), fmt.Sprint(e.Conn), e.Address)
	p.Put(`<td><details><summary>%s %s <span class="soft">#%s, %s bytes</span>`, arrow, e.What(), fmt.Sprint(e.Correlation), fmt.Sprint(e.Bytes))
	if e.Problem != "" {
		p.Put(` <span class="fail">%s</span>`, e.Problem)
	}
	p.Put(`</summary><pre>%s%s</pre></details></td>`, string(e.Body), e.Raw)
	p.Put(`<td class="%s">%s</td></tr>`+"\n", refused, strings.Join(slices.Compact(slices.Clone(e.Codes)), " "))
}
