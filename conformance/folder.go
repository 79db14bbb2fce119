package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/oncelog/oncelog/conformance/wire"
)

// The files of the folder of a case that differs.
const (
	WireFile     = "wire.jsonl"    // each request and answer, decoded, a line each
	TimelineFile = "timeline.html" // the same as a page
	caseFile     = "case.json"     // the result, the seed and how to run it again
)

// A kept is what the folder says of the case itself.
type kept struct {
	Result
	Suite  string `json:"suite"`
	Run    string `json:"run"`
	Seed   uint64 `json:"seed"`
	Target Target `json:"target"`
	Rerun  string `json:"rerun"`
}

// keep writes the folder of a case that differs, and names it in the result.
func (s *suite) keep(r *Result, recorder *wire.Recorder) error {
	dir, err := newFolder(filepath.Join(s.config.Traces, s.run), strings.ReplaceAll(r.ID, "/", "-"))
	if err != nil {
		return err
	}
	r.Trace = dir
	k := kept{Result: *r, Suite: Version, Run: s.run, Seed: s.config.Seed, Target: s.cluster.Load().target(s.config.Brokers), Rerun: r.Rerun(s.config.Brokers)}
	facts := []wire.Fact{
		{Name: "verdict", Value: string(r.Verdict)}, {Name: "comes from", Value: r.Requirement + "; " + string(r.Level)},
		{Name: "seed", Value: fmt.Sprint(k.Seed)}, {Name: "rerun", Value: k.Rerun},
	}
	for _, c := range r.Checks {
		if !c.OK {
			facts = append(facts, wire.Fact{Name: c.What, Value: "expected " + c.Want + ", actual " + c.Got})
		}
	}
	return errors.Join(
		writeFile(dir, WireFile, recorder.WriteLines),
		writeFile(dir, TimelineFile, func(w io.Writer) error { return recorder.Timeline(w, r.ID+" "+r.Title, facts) }),
		writeFile(dir, caseFile, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(k)
		}),
	)
}

// newFolder makes a folder that is not there yet: name, name-2, name-3 and so
// on, for the repetitions of a case.
func newFolder(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name)
	err := os.Mkdir(dir, 0o755)
	for n := 2; errors.Is(err, os.ErrExist); n++ {
		dir = filepath.Join(parent, fmt.Sprintf("%s-%d", name, n))
		err = os.Mkdir(dir, 0o755)
	}
	return dir, err
}

func writeFile(dir, name string, write func(io.Writer) error) error {
	file, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
