package wire

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed timeline.html
var timeline string

var timelineTemplate = template.Must(template.New("timeline").Funcs(template.FuncMap{
	"codes": func(e Entry) string {
		return strings.Join(slices.Compact(slices.Clone(e.Codes)), " ")
	},
	"refused": func(e Entry) bool {
		return slices.ContainsFunc(e.Codes, func(code string) bool { return code != "NONE" })
	},
	"body": func(e Entry) string { return string(e.Body) },
}).Parse(timeline))

// A Fact is one line of what a timeline says before it begins.
type Fact struct{ Name, Value string }

// Timeline writes one page with a line for each request and answer, in order,
// and their decoded fields to unfold.
func (r *Recorder) Timeline(w io.Writer, title string, facts []Fact) error {
	return timelineTemplate.Execute(w, struct {
		Title   string
		Facts   []Fact
		Entries []Entry
	}{title, facts, r.Entries()})
}
