package bench

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var golden = flag.Bool("golden", false, "rewrite testdata instead of comparing")

// fixed is a report with a figure of each kind.
func fixed() Report {
	s := Default(Txn)
	s.Topic = "orders"
	return Report{
		Schema: Schema, Bench: Txn, Client: "oncelog 1.0.0, franz-go v1.0.0", Settings: s,
		Broker:  Broker{Addresses: []string{"localhost:9092"}, ClusterID: "c", Brokers: 3, Speaks: "v4.1"},
		Seconds: 10, Records: 123_456, Bytes: 126_418_944, RecordsPerSecond: 12345.6, MBPerSecond: 12.6418944,
		Transactions: &Transactions{Committed: 12_345, Aborted: 5, CommitsPerSecond: 1234.5},
		Latency: map[string]Latency{
			"commit":  {Count: 12_345, Mean: 0.8, P50: 0.7654, P90: 1.5, P99: 12.25, P999: 99.99, Max: 1234.5},
			"visible": {Count: 12_345, Mean: 0.9, P50: 0.012, P90: 2, P99: 13, P999: 100, Max: 2000},
		},
		Errors: 1, FirstError: "commit: refused",
		Check:  Check{Written: 123_456, Stored: -1, Read: 123_450, Missing: 6, Problems: []string{"6 records were acknowledged and did not come"}},
		Series: []Second{},
	}
}

func same(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *golden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant, as in %s:\n%s", got, file, want)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := fixed().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	same(t, "table.txt", b.String())
}

func TestCompare(t *testing.T) {
	a, b := fixed(), fixed()
	b.RecordsPerSecond *= 2
	b.Latency = map[string]Latency{"commit": {P50: 0.38, P90: 1.5, P99: 24.5, P999: 99.99, Max: 1234.5}}
	b.Errors = 0
	var text strings.Builder
	for _, c := range Compare(a, b) {
		text.WriteString(strings.Join(c.Row(), "\t") + "\n")
	}
	same(t, "compare.txt", text.String())
}

// TestEveryFieldIsDocumented holds docs/bench.md against the types.
func TestEveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "bench.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[Report](), reflect.TypeFor[Settings](), reflect.TypeFor[Broker](), reflect.TypeFor[Transactions](),
		reflect.TypeFor[Latency](), reflect.TypeFor[Second](), reflect.TypeFor[Check](),
	} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name != "-" && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/bench.md does not say what `%s` of %s is", name, of)
			}
		}
	}
	for _, n := range latencyNames {
		if !strings.Contains(string(page), "`"+n.name+"`") {
			t.Errorf("docs/bench.md does not say what latency `%s` is", n.name)
		}
	}
}
