package broker

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A panic of a handler, or of what it runs beside itself, ends its connection,
// and nothing that looked after the connection outlives it.
func TestPanicEndsOneConnection(t *testing.T) {
	for name, handle := range map[string]func(){
		"in the handler": func() { panic("a bug") },
		"beside it": func() {
			var others crew
			defer others.wait()
			others.run(func() { panic("a bug") })
			others.run(func() {})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := protocol.On(0, 4, func(context.Context, *kmsg.ApiVersionsRequest, *kmsg.ApiVersionsResponse) error { handle(); return nil })
				var lines bytes.Buffer
				srv, network := startLogging(t, slog.NewTextHandler(&lines, nil), nil, api)
				c := dial(t, network)
				send(t, c, 1, kmsg.NewPtrApiVersionsRequest())
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("read after a panic: %v, want the end", err)
				}
				time.Sleep(2 * watchAfter)
				if n := srv.connections(); n != 0 {
					t.Errorf("%d connections are open", n)
				}
				stop(t, srv)
				if text := lines.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "a bug") || !strings.Contains(text, "panic_test.go") {
					t.Errorf("the log does not say where the bug is: %s", text)
				}
			})
		})
	}
}

// No handler starts a goroutine but by a crew: a panic in it would end the
// process.
func TestHandlersStartNoGoroutines(t *testing.T) {
	owners := []string{"beside.go", "server.go", "broker.go", "topics.go", "topics_replicas.go"} // of goroutines that are no request's
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if slices.Contains(owners, name) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			_, isGo := n.(*ast.GoStmt)
			if isCall {
				method, ok := call.Fun.(*ast.SelectorExpr)
				isGo = ok && method.Sel.Name == "Go"
			}
			if isGo {
				t.Errorf("%s: a goroutine without a crew", files.Position(n.Pos()))
			}
			return true
		})
	}
}
