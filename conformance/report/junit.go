package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/oncelog/oncelog/conformance"
)

// The elements of the XML that CI servers read, as Ant's JUnit task defined it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Skipped   *junitMessage `xml:"skipped,omitempty"`
		Failure   *junitMessage `xml:"failure,omitempty"`
		Output    string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a report as JUnit XML: a suite an area, a test a case. What is
// only noted passes, and says so in its output.
func JUnit(w io.Writer, r conformance.Report) error {
	root := junitSuites{Name: "conformance", Tests: len(r.Results), Time: seconds(r.Seconds)}
	took := map[string]float64{}
	at := map[string]int{}
	for _, one := range r.Results {
		name := area(one.ID)
		i, ok := at[name]
		if !ok {
			i = len(root.Suites)
			at[name] = i
			root.Suites = append(root.Suites, junitSuite{Name: name, Timestamp: r.Started.Format("2006-01-02T15:04:05")})
		}
		suite := &root.Suites[i]
		suite.add(one, r.Target.Addresses)
		took[name] += one.Seconds
		suite.Time = seconds(took[name])
	}
	for _, suite := range root.Suites {
		root.Failures += suite.Failures
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(root); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(r conformance.Result, brokers []string) {
	c := junitCase{Name: r.ID + " " + r.Title, ClassName: strings.ReplaceAll(r.ID, "/", "."), Time: seconds(r.Seconds)}
	s.Tests++
	switch r.Verdict {
	case conformance.Skip, conformance.Planned:
		s.Skipped++
		c.Skipped = &junitMessage{Message: r.Reason}
	case conformance.Fail, conformance.UnexpectedPass:
		s.Failures++
		c.Failure = &junitMessage{Message: firstDifference(r), Type: string(r.Level), Text: r.Text(brokers)}
	case conformance.Note, conformance.ExpectedFail:
		c.Output = r.Text(brokers)
	}
	s.Cases = append(s.Cases, c)
}

// firstDifference is the shortest way to say what is wrong.
func firstDifference(r conformance.Result) string {
	if d := differences(r); len(d) > 0 {
		return fmt.Sprintf("%s: expected %s, actual %s", d[0].What, d[0].Want, d[0].Got)
	}
	return r.Reason
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
