package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeLines are the lines of the README's shell blocks.
func readmeLines(t *testing.T) []string {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []string
	inside := false
	for scan := bufio.NewScanner(file); scan.Scan(); {
		switch line := scan.Text(); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside:
			lines = append(lines, line)
		}
	}
	return lines
}

// TestReadme runs the commands of the README as they stand, against one broker
// on a free port instead of 9092.
func TestReadme(t *testing.T) {
	const program = "go run ./cmd/oncelog"
	p := start(t, "dev", "--headless", "--port", "0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ran, dir := 0, t.TempDir()
	offline := regexp.MustCompile(`conformance (explain|report) `)
	for _, line := range readmeLines(t) {
		switch {
		case line == program+" dev": // is p
		case line == "make test": // is what runs this test
			if makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile")); err != nil || !regexp.MustCompile(`(?m)^test:`).Match(makefile) {
				t.Errorf("Makefile has no target test (%v)", err)
			}
		case strings.Contains(line, program):
			if !offline.MatchString(line) {
				line += " -b " + p.Bootstrap
			}
			shell := exec.Command("sh", "-c", strings.ReplaceAll(line, program, self))
			shell.Dir = dir // what one line writes the next may read
			shell.Env = append(os.Environ(), asProgram+"=1")
			out, err := shell.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			t.Logf("%s\n%s", line, out)
		default:
			t.Errorf("the test does not know how to run %q", line)
		}
		ran++
	}
	if ran < 11 {
		t.Errorf("ran %d lines, the README has lost its examples", ran)
	}
}
