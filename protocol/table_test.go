package protocol

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// flexibleFrom is, by key, the version from which requests are flexible, as
// measured on Apache Kafka 4.4.0; -1 for never.
var flexibleFrom = map[int16]int{
	0: 9, 1: 12, 2: 6, 3: 9, 8: 8, 9: 6, 10: 3, 11: 6, 12: 4, 13: 4, 14: 4, 15: 5, 16: 3, 17: -1, 18: 3, 19: 5, 20: 4,
	21: 2, 22: 2, 23: 4, 24: 3, 25: 3, 26: 3, 28: 3, 32: 4, 36: 2, 37: 2, 42: 2, 44: 1, 47: -1, 60: 0, 61: 0, 65: 0, 66: 0,
}

func TestFlexibleVersions(t *testing.T) {
	for key, from := range flexibleFrom {
		r := kmsg.RequestForKey(key)
		for version := range r.MaxVersion() + 1 {
			r.SetVersion(version)
			response := r.ResponseKind()
			response.SetVersion(version)
			want := from >= 0 && int(version) >= from
			if r.IsFlexible() != want || response.IsFlexible() != want {
				t.Errorf("%s v%d: request %v, response %v, want %v", kmsg.NameForKey(key), version, r.IsFlexible(), response.IsFlexible(), want)
			}
		}
	}
}

func TestTableRefuses(t *testing.T) {
	metadata := func(lowest, highest int16) API {
		return On(lowest, highest, quiet[kmsg.MetadataRequest, kmsg.MetadataResponse])
	}
	for name, apis := range map[string][]API{
		"a key twice":        {metadata(0, 1), metadata(2, 3)},
		"a version too new":  {metadata(0, 99)},
		"a negative version": {metadata(-1, 3)},
		"an empty range":     {metadata(5, 4)},
	} {
		if _, err := NewTable(apis...); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestCap(t *testing.T) {
	table := testTable(t)
	for _, bad := range []struct{ key, highest int16 }{{99, 0}, {1, 3}, {1, 19}} {
		if table.Cap(bad.key, bad.highest) == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	if err := table.Cap(1, 11); err != nil {
		t.Fatal(err)
	}
	for _, k := range table.ApiVersions() {
		if k.ApiKey == 1 && (k.MinVersion != 4 || k.MaxVersion != 11) {
			t.Fatalf("got %+v", k)
		}
	}
}

func TestKeysAndMarkdown(t *testing.T) {
	table, err := NewTable(
		On(0, 0, quiet[kmsg.OffsetDeleteRequest, kmsg.OffsetDeleteResponse]),
		On(1, 13, quiet[kmsg.MetadataRequest, kmsg.MetadataResponse]),
	)
	if err != nil {
		t.Fatal(err)
	}
	if apis := table.APIs(); len(apis) != 2 || apis[0].Key() != 3 || apis[1].Key() != 47 {
		t.Fatalf("%d rows, or not in the order of keys", len(apis))
	}
	want := "| key | API | versions | flexible from |\n|---:|---|---|---|\n" +
		"| 3 | Metadata | 1-13 | 9 |\n| 47 | OffsetDelete | 0 | - |\n"
	if diff := cmp.Diff(Markdown(table), want); diff != "" {
		t.Fatal(diff)
	}
}

func TestOnPanicsForTheWrongResponse(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	On(0, 1, func(context.Context, *kmsg.MetadataRequest, *kmsg.FetchResponse) error { return nil })
}
