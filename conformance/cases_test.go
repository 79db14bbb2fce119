package conformance

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateFlag = flag.Bool("update", false, "append new cases to ids.txt")

// TestIDsAreNeverReused compares the cases with the list kept in ids.txt: one
// line per id that was ever given, with its title. An id whose case is gone
// stays in the list, so nobody can take it again.
func TestIDsAreNeverReused(t *testing.T) {
	raw, err := os.ReadFile("ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		id, title, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if _, twice := known[id]; twice {
			t.Errorf("ids.txt lists %s twice", id)
		}
		known[id] = title
	}
	shape := regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+/[1-9][0-9]*$`)
	seen := map[string]bool{}
	destructive := false
	for _, c := range Cases() {
		if !shape.MatchString(c.ID) {
			t.Errorf("id %q is not area/section/n", c.ID)
		}
		if seen[c.ID] {
			t.Errorf("id %s is taken twice", c.ID)
		}
		seen[c.ID] = true
		if destructive = destructive || c.Destructive; destructive && !c.Destructive {
			t.Errorf("%s stands behind one that may end the broker", c.ID)
		}
		if c.Title == "" || c.Requirement == "" || c.Level == "" || c.Run == nil {
			t.Errorf("case %s lacks a title, a requirement, a level or a body", c.ID)
		}
		title, ok := known[c.ID]
		switch {
		case !ok && *updateFlag:
			raw = append(raw, c.ID+"\t"+c.Title+"\n"...)
		case !ok:
			t.Errorf("%s is not in ids.txt: go test ./conformance -args -update", c.ID)
		case title != c.Title:
			t.Errorf("%s has the title %q, ids.txt has %q: a rule that changes takes a new id", c.ID, c.Title, title)
		}
	}
	if *updateFlag {
		if err := os.WriteFile("ids.txt", raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSelect(t *testing.T) {
	cases := []Case{{ID: "txn/fencing/1"}, {ID: "txn/fencing/12"}, {ID: "txn/fencingx/1"}, {ID: "read/lso/1"}}
	for _, tt := range []struct {
		name    string
		filters []string
		want    []string
	}{
		{"no filter selects all", nil, []string{"txn/fencing/1", "txn/fencing/12", "txn/fencingx/1", "read/lso/1"}},
		{"an id selects one", []string{"txn/fencing/1"}, []string{"txn/fencing/1"}},
		{"a section selects its own", []string{"txn/fencing"}, []string{"txn/fencing/1", "txn/fencing/12"}},
		{"areas add up in report order", []string{"read/", "txn/fencing/12"}, []string{"txn/fencing/12", "read/lso/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Select(cases, tt.filters)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, c := range got {
				ids = append(ids, c.ID)
			}
			if !slices.Equal(ids, tt.want) {
				t.Errorf("selected %v, want %v", ids, tt.want)
			}
		})
	}
	if _, err := Select(cases, []string{"txn/fencin"}); err == nil {
		t.Error("a filter that matches nothing is no error")
	}
}
