package report

import (
	_ "embed"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/conformance/page"
)

//go:embed page.css
var style string

// HTML writes a report as one page that needs nothing else.
func HTML(w io.Writer, r conformance.Report) error {
	p := page.New(w, "Conformance of "+strings.Join(r.Target.Addresses, ","), style)
	p.Put("<p>%s<br>"+`<span class="soft">suite %s · run %s · %s · %s s</span></p>`+"\n",
		targetLine(r), r.Suite, r.Run, r.Started.Format("2006-01-02 15:04 MST"), fmt.Sprintf("%.1f", r.Seconds))
	htmlCounts(p, r)
	p.Put(`<p class="soft">A case is one rule and the requests that show whether it is kept; what Apache Kafka answers decides. MUST: a difference fails. SHOULD: a client can live without it. OBSERVED: what Kafka was seen to do. Recorded: Apache Kafka was asked the same and kept the rule. Argued: only its text says so.</p>` + "\n")
	p.Put("<h2>What differs</h2>\n")
	differs := false
	for _, one := range r.Results {
		if len(differences(one)) > 0 || one.Verdict == conformance.UnexpectedPass {
			differs = true
			htmlDifference(p, one, r.Target.Addresses)
		}
	}
	if !differs {
		p.Put("<p>Nothing.</p>\n")
	}
	p.Put("<h2>Every case</h2>\n")
	for _, a := range areas(r.Results) {
		htmlArea(p, a)
	}
	return p.Close()
}

func htmlCounts(p *page.Writer, r conformance.Report) {
	p.Put(`<ul class="counts">`)
	for _, c := range []struct {
		verdict conformance.Verdict
		label   string
	}{
		{conformance.Pass, "passed"}, {conformance.Fail, "failed"}, {conformance.ExpectedFail, "expected failures"},
		{conformance.UnexpectedPass, "unexpected passes"}, {conformance.Note, "noted"}, {conformance.Skip, "skipped"},
	} {
		p.Put(`<li><b class="%s">%s</b> %s</li>`, class(c.verdict), fmt.Sprint(r.Count(c.verdict)), c.label)
	}
	p.Put("</ul>\n")
}

// htmlDifference tells of one case what was expected and what came.
func htmlDifference(p *page.Writer, r conformance.Result, addresses []string) {
	p.Put(`<article class="%s" id="%s">`+"\n", class(r.Verdict), r.ID)
	p.Put(`<p><b>%s</b> <span class="id">%s</span> %s<br>`, string(r.Verdict), r.ID, r.Title)
	p.Put(`<span class="soft">%s · %s · %s`, r.Requirement, string(r.Level), r.OracleLine())
	if r.Reason != "" {
		p.Put(" · %s", r.Reason)
	}
	p.Put("</span></p>\n<table><thead><tr><th>looked at</th><th>expected</th><th>actual</th><th>Kafka</th></tr></thead><tbody>\n")
	for _, c := range differences(r) {
		p.Put(`<tr><td>%s</td><td>%s</td><td class="fail">%s</td><td>%s</td></tr>`+"\n", c.What, c.Want, c.Got, c.Kafka)
	}
	p.Put("</tbody></table>\n<p>")
	if r.Trace != "" {
		p.Put(`<a href="%s">every request and answer</a>, <a href="%s">as lines of JSON</a><br>`, kept(r.Trace, conformance.TimelineFile), kept(r.Trace, conformance.WireFile))
	}
	p.Put("rerun <code>%s</code></p>\n</article>\n", r.Rerun(addresses))
}

// kept is the address of a file of a trace, beside this page or where the trace is.
func kept(trace, file string) string {
	return (&url.URL{Path: filepath.ToSlash(filepath.Join(trace, file))}).String()
}

// An htmlCases is the cases of one area.
type htmlCases struct {
	name    string
	results []conformance.Result
}

// areas parts results by area, in the order in which those come first.
func areas(results []conformance.Result) (all []htmlCases) {
	at := map[string]int{}
	for _, one := range results {
		i, ok := at[area(one.ID)]
		if !ok {
			i = len(all)
			at[area(one.ID)] = i
			all = append(all, htmlCases{name: area(one.ID)})
		}
		all[i].results = append(all[i].results, one)
	}
	return all
}

func htmlArea(p *page.Writer, a htmlCases) {
	p.Put(`<details open><summary><b>%s</b> <span class="soft">%s</span></summary>`+"\n", a.name, fmt.Sprint(len(a.results)))
	p.Put("<table class=\"cases\"><thead><tr><th>case</th><th>rule</th><th>level</th><th>verdict</th></tr></thead><tbody>\n")
	for _, r := range a.results {
		known := "argued"
		if len(r.Oracle) > 0 {
			known = "recorded"
		}
		p.Put(`<tr><td class="id">%s</td><td>%s</td><td>%s <span class="soft">%s</span></td><td><span class="%s">%s</span> <span class="soft">%s</span></td></tr>`+"\n",
			r.ID, r.Title, string(r.Level), known, class(r.Verdict), string(r.Verdict), because(r))
	}
	p.Put("</tbody></table></details>\n")
}

// because is why a case has no verdict or another than it seems, or how long it took.
func because(r conformance.Result) string {
	if r.Reason != "" {
		return r.Reason
	}
	return fmt.Sprintf("%.0f ms", r.Seconds*1000)
}

// class is the style of a verdict.
func class(v conformance.Verdict) string { return strings.ToLower(string(v)) }
