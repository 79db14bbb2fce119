package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/conformance"
)

// A schema is as much of a JSON schema as the published one uses.
type schema struct {
	Type       string            `json:"type"`
	Const      any               `json:"const"`
	Enum       []any             `json:"enum"`
	Pattern    string            `json:"pattern"`
	Minimum    *float64          `json:"minimum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Additional json.RawMessage   `json:"additionalProperties"`
	Items      *schema           `json:"items"`
	Ref        string            `json:"$ref"`
	Defs       map[string]schema `json:"$defs"`
}

func published(t *testing.T) schema {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance-report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// problems lists where a value is not as the schema says.
func (root schema) problems(s schema, at string, v any) (found []string) {
	if s.Ref != "" {
		s = root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
	}
	wrong := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
	kind := ""
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				wrong("lacks %s", name)
			}
		}
		for name, inner := range v {
			property, ok := s.Properties[name]
			if !ok && string(s.Additional) == "false" {
				wrong("has %s, which is not in the schema", name)
			}
			found = append(found, root.problems(property, at+"/"+name, inner)...)
		}
	case []any:
		kind = "array"
		for i, inner := range v {
			if s.Items != nil {
				found = append(found, root.problems(*s.Items, fmt.Sprintf("%s/%d", at, i), inner)...)
			}
		}
	case string:
		kind = "string"
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			wrong("%q is not as %s", v, s.Pattern)
		}
	case bool:
		kind = "boolean"
	case float64:
		kind = "number"
		if s.Type == "integer" && v == float64(int64(v)) {
			kind = "integer"
		}
		if s.Minimum != nil && v < *s.Minimum {
			wrong("%v is below %v", v, *s.Minimum)
		}
	}
	if s.Type != "" && kind != s.Type {
		wrong("is %q, want %q", kind, s.Type)
	}
	if s.Const != nil && v != s.Const || s.Enum != nil && !slices.Contains(s.Enum, v) {
		wrong("%v is none of %v%v", v, s.Const, s.Enum)
	}
	return found
}

func document(t *testing.T, r conformance.Report) any {
	t.Helper()
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(b.String()), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReportsAreAsThePublishedSchemaSays(t *testing.T) {
	root := published(t)
	full := sample()
	full.Seed = 7
	full.Results = append(full.Results, conformance.Result{ID: "e/f/1", Title: "planned", Requirement: "r", Level: conformance.Should, Verdict: conformance.Planned})
	for _, p := range root.problems(root, "", document(t, full)) {
		t.Error(p)
	}
	bent := full
	bent.Schema = 2
	bent.Results = []conformance.Result{{ID: "no id", Level: "MAYBE", Verdict: "FINE", Seconds: -1}}
	if got := len(root.problems(root, "", document(t, bent))); got != 5 {
		t.Errorf("%d problems are found in a report with five: %v", got, root.problems(root, "", document(t, bent)))
	}
}
