package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"github.com/oncelog/oncelog/conformance"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"timeline":     func(trace string) string { return filepath.ToSlash(filepath.Join(trace, conformance.TimelineFile)) },
	"lower":        func(v conformance.Verdict) string { return strings.ToLower(string(v)) },
	"differences":  differences,
	"oracle":       func(r conformance.Result) string { return r.OracleLine() },
	"milliseconds": func(s float64) string { return fmt.Sprintf("%.0f ms", s*1000) },
}).Parse(page))

// An htmlArea is the cases of one area of the page.
type htmlArea struct {
	Name    string
	Results []conformance.Result
}

// An htmlPage is what the page shows.
type htmlPage struct {
	Report   conformance.Report
	Title    string
	Target   string
	Counts   []htmlCount
	Differed []conformance.Result
	Areas    []htmlArea
}

type htmlCount struct {
	Verdict conformance.Verdict
	Label   string
	N       int
}

// HTML writes a report as one page that needs nothing else: no script, no font
// and no picture from elsewhere.
func HTML(w io.Writer, r conformance.Report) error {
	p := htmlPage{Report: r, Title: "Conformance of " + strings.Join(r.Target.Addresses, ","), Target: targetLine(r)}
	for _, c := range []htmlCount{
		{conformance.Pass, "passed", 0}, {conformance.Fail, "failed", 0}, {conformance.ExpectedFail, "expected failures", 0},
		{conformance.UnexpectedPass, "unexpected passes", 0}, {conformance.Note, "noted", 0}, {conformance.Skip, "skipped", 0},
	} {
		c.N = r.Count(c.Verdict)
		p.Counts = append(p.Counts, c)
	}
	at := map[string]int{}
	for _, one := range r.Results {
		if len(differences(one)) > 0 || one.Verdict == conformance.UnexpectedPass {
			p.Differed = append(p.Differed, one)
		}
		i, ok := at[area(one.ID)]
		if !ok {
			i = len(p.Areas)
			at[area(one.ID)] = i
			p.Areas = append(p.Areas, htmlArea{Name: area(one.ID)})
		}
		p.Areas[i].Results = append(p.Areas[i].Results, one)
	}
	return pageTemplate.Execute(w, p)
}
