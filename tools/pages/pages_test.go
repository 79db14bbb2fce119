package pages

import (
	_ "embed"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

//go:embed readable.js
var readable string

// A page is one that has to be readable; add yours to the list that makes it.
type page struct {
	name string // of its pictures
	url  string
}

// fileURL is the address of a file.
func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// TestPagesAreReadable opens each page in each look: nothing is on the console,
// nothing is cut off, too small or too pale. Pictures of all are in out/pages.
func TestPagesAreReadable(t *testing.T) {
	browser := browse(t)
	pictures := filepath.Join(root(t), "out", "pages")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range conformancePages(t) {
		for _, l := range looks {
			t.Run(p.name+"-"+l.String(), func(t *testing.T) {
				tb := open(t, browser, p.url, l)
				for _, problem := range eval[[]string](t, tb, readable) {
					t.Error(problem)
				}
				if dark := eval[bool](t, tb, `getComputedStyle(document.body).backgroundColor.match(/\d+/g).every(v => v < 64)`); dark != l.dark {
					t.Errorf("the page is dark: %t, want %t", dark, l.dark)
				}
				tb.keep(t, filepath.Join(pictures, p.name+"-"+l.String()+".png"))
				tb.quiet(t)
			})
		}
	}
}
