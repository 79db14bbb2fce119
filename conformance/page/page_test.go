package page

import (
	"errors"
	"strings"
	"testing"
)

func TestTextsAreEscaped(t *testing.T) {
	var b strings.Builder
	p := New(&b, `</title><script>`, "td { width: 100% }\n")
	p.Put(`<p class="%s">%s</p>`+"\n", `"onclick="x`, "<b>&'")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<title>&lt;/title&gt;&lt;script&gt;</title>\n<style>\ntd { width: 100% }\n</style>", "<h1>&lt;/title&gt;&lt;script&gt;</h1>",
		`<p class="&#34;onclick=&#34;x">&lt;b&gt;&amp;&#39;</p>`, "</body>\n</html>\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, b.String())
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestCloseTellsWhatWritingMet(t *testing.T) {
	p := New(full{}, "title", "")
	for range 10_000 {
		p.Put("<p>%s</p>", "more than is kept in memory")
	}
	if err := p.Close(); !errors.Is(err, errFull) {
		t.Errorf("%v, want %v", err, errFull)
	}
}
