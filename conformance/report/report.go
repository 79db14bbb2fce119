// Package report writes what the conformance suite found: for machines (JSON
// that is read back, JUnit), for people (Markdown, one HTML page), and what
// differs between two runs.
//
// It knows reports only; it asks no broker.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oncelog/oncelog/conformance"
)

// ErrNotAReport says that a file holds no report of a version that is known.
var ErrNotAReport = errors.New("not a report of the conformance suite")

// A Writer writes a report in one form.
type Writer func(io.Writer, conformance.Report) error

// Forms are the forms a report can be written in, by name.
var Forms = map[string]Writer{
	"text":     func(w io.Writer, r conformance.Report) error { return r.WriteText(w) },
	"json":     func(w io.Writer, r conformance.Report) error { return r.WriteJSON(w) },
	"junit":    JUnit,
	"markdown": Markdown,
	"html":     HTML,
}

// FormNames lists the forms in order.
func FormNames() string { return strings.Join(slices.Sorted(maps.Keys(Forms)), ", ") }

// Read reads a report that was written as JSON.
func Read(r io.Reader) (conformance.Report, error) {
	var report conformance.Report
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return report, fmt.Errorf("%w: %w", ErrNotAReport, err)
	}
	if report.Schema != conformance.SchemaVersion {
		return report, fmt.Errorf("%w: schema %d, want %d", ErrNotAReport, report.Schema, conformance.SchemaVersion)
	}
	return report, nil
}

// ReadFile reads a report from a file.
func ReadFile(name string) (conformance.Report, error) {
	file, err := os.Open(name)
	if err != nil {
		return conformance.Report{}, err
	}
	defer file.Close()
	r, err := Read(file)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return r, err
}

// WriteFile writes a report to a file in one form.
func WriteFile(name string, write Writer, r conformance.Report) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	r.Results = slices.Clone(r.Results)
	for i := range r.Results {
		one := &r.Results[i]
		// The file points to what lies beside it.
		if path, err := filepath.Rel(filepath.Dir(name), one.Trace); err == nil && one.Trace != "" && !filepath.IsAbs(one.Trace) {
			one.Trace = path
		}
	}
	return errors.Join(write(file, r), file.Close())
}

// area is the first part of an id.
func area(id string) string {
	first, _, _ := strings.Cut(id, "/")
	return first
}

// differences are the checks that were not as demanded.
func differences(r conformance.Result) []conformance.Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c conformance.Check) bool { return c.OK })
}

// targetLine says in one line what was judged.
func targetLine(r conformance.Report) string {
	line := fmt.Sprintf("%s, speaks Kafka %s (from ApiVersions), brokers: %d", strings.Join(r.Target.Addresses, ","),
		strings.TrimPrefix(r.Target.Speaks, "v"), r.Target.Brokers)
	for _, name := range slices.Sorted(maps.Keys(r.Target.Features)) {
		line += fmt.Sprintf(", %s=%d", name, r.Target.Features[name])
	}
	return line
}
