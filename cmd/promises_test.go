package cmd_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const promisesPage = "../docs/promises.md"

// A promise is one row of the page.
type promise struct {
	rule, where string
	tests       []string
}

var quoted = regexp.MustCompile("`([^`]+)`")

// promises reads the rows of the page.
func promises(t *testing.T) (rows []promise) {
	t.Helper()
	page, err := os.ReadFile(promisesPage)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || cells[0] != "" || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "rule" {
			continue
		}
		if len(cells) != 6 {
			t.Fatalf("a row of %d columns, want 4: %s", len(cells)-2, line)
		}
		row := promise{rule: strings.TrimSpace(cells[1]), where: strings.TrimSpace(cells[2])}
		for _, m := range quoted.FindAllStringSubmatch(cells[4], -1) {
			row.tests = append(row.tests, m[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// rules lists every rule there is, in the order of the page.
func rules() (all []string) {
	for _, section := range []struct {
		format string
		count  int
	}{{"3.%d", 10}, {"4.%d", 11}, {"%d", 30}, {"hard-%02d", 40}} {
		for n := 1; n <= section.count; n++ {
			all = append(all, fmt.Sprintf(section.format, n))
		}
	}
	return slices.Insert(all, slices.Index(all, "hard-22")+1, "hard-22b")
}

func TestEveryRuleIsOnThePage(t *testing.T) {
	var got []string
	for _, row := range promises(t) {
		got = append(got, row.rule)
		place, reason, _ := strings.Cut(row.where, ": ")
		switch {
		case !slices.Contains([]string{"one", "partly", "three"}, place):
			t.Errorf("%s applies to %q, want one, partly or three", row.rule, row.where)
		case (place == "one") != (reason == ""):
			t.Errorf("%s applies to %q: a reason belongs to what is not whole, and only there", row.rule, row.where)
		case place != "three" && len(row.tests) == 0:
			t.Errorf("%s applies to one node and names no test", row.rule)
		}
	}
	if want := rules(); !slices.Equal(got, want) {
		t.Errorf("rules %q\nwant %q", got, want)
	}
}

func TestPromisesNameTestsThatExist(t *testing.T) {
	packages := map[string]*testedPackage{}
	for _, row := range promises(t) {
		for _, name := range row.tests {
			folder, test, ok := strings.Cut(name, " ")
			if !ok {
				t.Errorf("%s names %q, want a folder and a test", row.rule, name)
				continue
			}
			if packages[folder] == nil {
				packages[folder] = readTests(t, folder)
			}
			if !packages[folder].has(folder, test) {
				t.Errorf("%s is held by %q, which does not exist", row.rule, name)
			}
		}
	}
}

// A testedPackage is what a package's test files declare.
type testedPackage struct {
	functions map[string]bool
	texts     map[string]bool // string literals, spaces as go test shows them
	cases     map[string]bool // ids of the conformance suite
}

// has says whether there is a test function, and in its package a text that its
// subtest could be named by, or a scenario file.
func (p *testedPackage) has(folder, test string) bool {
	if folder == "conformance" {
		return p.cases[test]
	}
	function, part, ok := strings.Cut(test, "/")
	if !p.functions[function] || !ok {
		return p.functions[function]
	}
	if p.texts[part] {
		return true
	}
	_, err := os.Stat(filepath.Join("..", folder, "testdata", part+".txt"))
	return err == nil
}

func readTests(t *testing.T, folder string) *testedPackage {
	t.Helper()
	p := &testedPackage{functions: map[string]bool{}, texts: map[string]bool{}, cases: map[string]bool{}}
	pattern := "*_test.go"
	if folder == "conformance" {
		pattern = "*.go"
	}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), pattern))
	if err != nil || len(files) == 0 {
		t.Errorf("no tests in %s (%v)", folder, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.read(file)
	}
	return p
}

func (p *testedPackage) read(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil {
				p.functions[n.Name.Name] = true
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "ID" {
				p.cases[text(n.Value)] = true
			}
		case *ast.BasicLit:
			p.texts[strings.ReplaceAll(text(n), " ", "_")] = true
		}
		return true
	})
}

// text is the value of a string literal, "" of anything else.
func text(n ast.Node) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return value
}
