package group

import "testing"

func TestMovesBetweenStates(t *testing.T) {
	legal := map[[2]State]bool{
		{Empty, PreparingRebalance}:               true,
		{Stable, PreparingRebalance}:              true,
		{CompletingRebalance, PreparingRebalance}: true,
		{PreparingRebalance, CompletingRebalance}: true,
		{PreparingRebalance, Empty}:               true,
		{CompletingRebalance, Stable}:             true,
	}
	for from := Empty; from <= Dead; from++ {
		for to := Empty; to <= Dead; to++ {
			want := legal[[2]State{from, to}] || to == Dead
			if got := from.mayEnter(to); got != want {
				t.Errorf("from %v to %v: got %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestPartitionOfGroup(t *testing.T) {
	c := &Coordinator{config: Config{Partitions: 50}}
	for group, want := range map[string]int32{
		"":                   0,
		"abc":                96354 % 50,
		"polygenelubricants": 0, // its hash is the smallest int32
		"gruppe-ä":           c.Partition("gruppe-ä"),
	} {
		if got := c.Partition(group); got != want || got < 0 || got >= 50 {
			t.Errorf("partition of %q: got %d, want %d", group, got, want)
		}
	}
}
