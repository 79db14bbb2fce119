// Package page writes HTML pages that need nothing else: no script, no font and no
// picture from elsewhere.
//
// html/template would do the same with more care. It calls methods by names that are
// only known as a program runs, so the linker keeps every method of every type: a
// broker that has it in its binary takes 2 MB more.
package page

import (
	"bufio"
	"fmt"
	"html"
	"io"
)

// A Writer writes one page. What its formats say is markup; what fills them is text,
// whoever it comes from.
type Writer struct {
	w     *bufio.Writer
	parts []any
}

// head is what each page begins with: the title and the style follow.
const head = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>%s</title>
<style>
`

// New begins a page. The style is CSS, written as it is.
func New(w io.Writer, title, style string) *Writer {
	p := &Writer{w: bufio.NewWriter(w)}
	p.Put(head, title)
	p.w.WriteString(style) // Close tells of an error
	p.Put("</style>\n</head>\n<body>\n<h1>%s</h1>\n", title)
	return p
}

// Put writes markup in which each %s stands for one of the texts, escaped so that it
// is text wherever markup lets it stand: between tags and in quoted attributes, but
// not as the address of a link, unless it is known to be one.
func (p *Writer) Put(markup string, texts ...string) {
	p.parts = p.parts[:0]
	for _, text := range texts {
		p.parts = append(p.parts, html.EscapeString(text))
	}
	fmt.Fprintf(p.w, markup, p.parts...) // Close tells of an error
}

// Close ends the page, and tells of the first error that writing it met.
func (p *Writer) Close() error {
	p.Put("</body>\n</html>\n")
	return p.w.Flush()
}
