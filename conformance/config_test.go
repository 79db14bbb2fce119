package conformance

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseExpect(t *testing.T) {
	expect, err := ParseExpect(strings.NewReader("# a broker\n\ntxn/empty/1  # commits nothing\nidempotence/wrap/1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(expect) != 2 || expect["txn/empty/1"] != "commits nothing" || expect["idempotence/wrap/1"] != "" {
		t.Errorf("read as %v", expect)
	}
	if _, err := ParseExpect(strings.NewReader("a/b/1\na/b/1 # again\n")); !errors.Is(err, ErrConfig) {
		t.Errorf("an id twice: %v, want %v", err, ErrConfig)
	}
}

func TestConfigRefusesWhatCannotBeMeant(t *testing.T) {
	for name, config := range map[string]Config{
		"an unknown id":        {Expect: map[string]string{"txn/nothing/1": ""}},
		"shard 3 of 2":         {Shard: Shard{3, 2}},
		"shard 0 of 2":         {Shard: Shard{0, 2}},
		"a shard of -1 shards": {Shard: Shard{1, -1}},
	} {
		if _, err := Run(t.Context(), config); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want %v", name, err, ErrConfig)
		}
	}
	for _, s := range []string{"", "1", "0/2", "3/2", "a/2", "1/b"} {
		if _, err := ParseShard(s); !errors.Is(err, ErrConfig) {
			t.Errorf("shard %q: %v, want %v", s, err, ErrConfig)
		}
	}
}

func TestShardsHoldEachCaseOnce(t *testing.T) {
	var all []string
	for _, text := range []string{"1/3", "2/3", "3/3"} {
		shard, err := ParseShard(text)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := Config{Shard: shard}.selected()
		if err != nil {
			t.Fatal(err)
		}
		if want := len(Cases()) / 3; len(cases) < want || len(cases) > want+1 {
			t.Errorf("shard %s has %d cases of %d", text, len(cases), len(Cases()))
		}
		for _, c := range cases {
			all = append(all, c.ID)
		}
	}
	var want []string
	for _, c := range Cases() {
		want = append(want, c.ID)
	}
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		t.Errorf("the shards hold %d cases, there are %d", len(all), len(want))
	}
}
