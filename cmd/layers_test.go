// Package cmd_test holds what is true of the whole tree. It parses the files
// itself: a test that asks `go list` is cached past a violation.
package cmd_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/oncelog/oncelog"

// layers lists, for each part of the house, what of the house it may import.
// A part is the longest prefix here that a package's path begins with.
var layers = map[string][]string{
	"protocol":              {"protocol"},
	"log":                   {"protocol/record", "protocol/planted", "log"},
	"replication":           {"protocol/record", "protocol/planted", "protocol/memnet", "log", "replication"},
	"replication/transport": {"protocol", "replication/transport"},
	"replication/shard":     {"protocol/record", "protocol/planted", "log", "replication", "replication/shard"},
	"replication/cluster":   {"protocol/record", "protocol/planted", "log", "replication", "replication/shard", "replication/cluster"},
	"txn":                   {"protocol", "log", "replication", "txn"},
	"broker/group":          {"protocol", "log", "replication", "broker/group"},
	"broker":                {"protocol", "log", "replication", "txn", "broker"},
	"broker/fault":          {"protocol"},
	"broker/brokertest/sim": {"protocol", "log", "replication", "broker", "conformance/verify"}, // tests only
	"conformance":           {"conformance"},
	"cmd":                   {"protocol", "log", "replication", "txn", "broker", "conformance", "cmd"},
}

// banned lists imports that only the named parts may have.
var banned = map[string][]string{
	"github.com/hashicorp/raft":           {"replication"},
	"go.etcd.io/bbolt":                    {"replication/cluster"},
	"log":                                 nil,
	"html/template":                       nil, // either keeps every method of every type in the binary, which a broker pays for
	"text/template":                       nil,
	"github.com/twmb/franz-go/pkg/kgo":    {"conformance", "cmd"},
	"github.com/twmb/franz-go/pkg/kadm":   {"conformance", "cmd"},
	"github.com/prometheus/client_golang": {"broker", "cmd"},
	"github.com/magiconair/properties":    {"broker", "cmd"},
	"github.com/spf13/cobra":              {"cmd"},
}

type importing struct {
	file string // relative to the root, with slashes
	path string // what it imports
	test bool
}

// imports parses every Go file of the tree.
func imports(t *testing.T) []importing {
	t.Helper()
	var all []importing
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "tools" || name == "out" || strings.HasPrefix(path.Base(name), ".") && name != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", filepath.FromSlash(name)), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all = append(all, importing{file: name, path: imported, test: strings.HasSuffix(name, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no imports found: the test looks in the wrong folder")
	}
	return all
}

// under says whether the slash path name is prefix or lies below it.
func under(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

// part returns the longest key of layers that dir lies under.
func part(dir string) (string, bool) {
	best := ""
	for name := range layers {
		if under(dir, name) && len(name) > len(best) {
			best = name
		}
	}
	return best, best != ""
}

func TestImportsPointDown(t *testing.T) {
	for _, i := range imports(t) {
		target, ours := strings.CutPrefix(i.path, module+"/")
		if !ours {
			continue
		}
		dir := path.Dir(i.file)
		from, known := part(dir)
		if !known {
			t.Errorf("%s: folder %s is in no layer; add it to layers", i.file, dir)
			continue
		}
		if !allowed(layers[from], dir, target) {
			t.Errorf("%s imports %s; %s may import only %s", i.file, target, from, strings.Join(layers[from], ", "))
		}
	}
}

// allowed says whether a package in folder dir may import target. txn and
// broker/group never see each other, and raft's neighbours stay below.
func allowed(may []string, dir, target string) bool {
	if under(dir, "txn") && under(target, "broker") || under(dir, "broker/group") && under(target, "txn") {
		return false
	}
	if dir == "replication" && (under(target, "replication/shard") || under(target, "replication/cluster")) {
		return false
	}
	for _, prefix := range may {
		if under(target, prefix) {
			return true
		}
	}
	return false
}

func TestRules(t *testing.T) {
	for _, i := range imports(t) {
		for prefix, may := range banned {
			if prefix == "log" && i.path != "log" || !under(i.path, prefix) {
				continue
			}
			if i.test && prefix != "log" {
				continue
			}
			ok := false
			for _, place := range may {
				ok = ok || under(path.Dir(i.file), place)
			}
			if !ok {
				t.Errorf("%s imports %s; only %v may", i.file, i.path, may)
			}
		}
	}
}
