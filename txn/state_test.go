package txn

import (
	"strings"
	"testing"
)

// TestEveryPairOfStates holds hard-10: the table of legal moves, as Kafka 4.3.1
// prints its own.
func TestEveryPairOfStates(t *testing.T) {
	states := []State{Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead, PrepareEpochFence}
	legal := strings.Fields(`
		from\to           Empty Ongoing PrepareCommit PrepareAbort CompleteCommit CompleteAbort Dead PrepareEpochFence
		Empty             x     x       -             x            -              -             x    -
		Ongoing           -     x       x             x            -              -             -    x
		PrepareCommit     -     -       -             -            x              -             -    -
		PrepareAbort      -     -       -             -            -              x             -    -
		CompleteCommit    x     x       -             x            -              -             x    -
		CompleteAbort     x     x       -             x            -              -             x    -
		Dead              -     -       -             -            -              -             -    -
		PrepareEpochFence -     -       -             x            -              -             -    -`)
	columns := len(states) + 1
	for i, before := range states {
		row := legal[(i+1)*columns:]
		if row[0] != before.String() {
			t.Fatalf("row %d is %s, want %s", i, row[0], before)
		}
		for j, to := range states {
			if got, want := mayFollow(to, before), row[j+1] == "x"; got != want {
				t.Errorf("from %v to %v: legal %v, want %v", before, to, got, want)
			}
		}
	}
}

func TestStateNamesAreKafkas(t *testing.T) {
	for s := Empty; s <= PrepareEpochFence; s++ {
		if back, ok := ParseState(s.String()); !ok || back != s {
			t.Errorf("%v parses to %v, %v", s, back, ok)
		}
	}
	if s, ok := ParseState("Lost"); ok {
		t.Errorf("Lost parses to %v", s)
	}
	if got := State(99).String(); got != "State(99)" {
		t.Errorf("unknown state is %q", got)
	}
}
