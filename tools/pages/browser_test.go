package pages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds all that is done with one page.
const patience = time.Minute

// programs are the names a Chromium goes by.
var programs = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}

// browse starts a browser that ends with the test. Without one on this machine
// the test is skipped, unless CHROMIUM=must says that it has to be there.
func browse(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range programs {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CHROMIUM") == "must" {
			t.Fatalf("none of %s is installed", strings.Join(programs, ", "))
		}
		t.Skipf("no page is opened: none of %s is installed (apt-get install chromium-headless-shell)", strings.Join(programs, ", "))
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	ctx, end := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(options...))
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return ctx
}

// A look is one way to see a page.
type look struct {
	width int64 // pixels
	dark  bool
}

// looks are those every page has to read well in.
var looks = []look{{800, false}, {800, true}, {1440, false}, {1440, true}}

func (l look) String() string {
	if l.dark {
		return fmt.Sprintf("%d-dark", l.width)
	}
	return fmt.Sprintf("%d-light", l.width)
}

// A tab shows one page, and keeps what the browser found wrong with it.
type tab struct {
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// open opens a page in a tab of its own, in one look.
func open(t *testing.T, browser context.Context, url string, l look) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	ctx, stop := context.WithTimeout(ctx, patience)
	t.Cleanup(stop)
	tb := &tab{ctx: ctx}
	if err := chromedp.Listen(ctx, tb.hear); err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	tb.do(t, chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("body")))
	return tb
}

// hear keeps what a reader of the browser's console would see.
func (tb *tab) hear(event any) {
	fault := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		fault = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("console.%s", e.Type)
	case *network.EventLoadingFailed:
		fault = "not loaded: " + e.ErrorText
	default:
		return
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.faults = append(tb.faults, fault)
}

func (tb *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// eval is the value of an expression in the page.
func eval[V any](t *testing.T, tb *tab, expression string) V {
	t.Helper()
	value, err := chromedp.Run(tb.ctx, chromedp.Evaluate[V](expression))
	if err != nil {
		t.Fatalf("%.80s: %v", expression, err)
	}
	return value
}

// quiet demands that the browser found nothing wrong. Its events come in the
// order in which things happen, so what was evaluated last is behind them all.
func (tb *tab) quiet(t *testing.T) {
	t.Helper()
	eval[bool](t, tb, "true")
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, fault := range tb.faults {
		t.Errorf("the console says: %s", fault)
	}
}

// keep writes a picture of the whole page.
func (tb *tab) keep(t *testing.T, file string) {
	t.Helper()
	picture, err := chromedp.Run(tb.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(file, picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
