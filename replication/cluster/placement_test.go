package cluster

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// racked is an image whose brokers are in these racks, by id.
func racked(racks ...string) *Image {
	img := newImage()
	for i, rack := range racks {
		img.brokers[int32(i)] = &Broker{ID: int32(i), Rack: rack}
	}
	return img
}

// spread is how far the largest count is above the smallest, some brokers left out.
func spread(counts map[int32]int, brokers int, without map[int32]bool) int {
	lowest, highest := 1<<30, 0
	for id := range int32(brokers) {
		if !without[id] {
			lowest, highest = min(lowest, counts[id]), max(highest, counts[id])
		}
	}
	return highest - lowest
}

// What placement promises, whatever the brokers, racks and partitions are.
func TestPlacementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds, size := rapid.IntRange(1, 5).Draw(t, "racks"), rapid.IntRange(1, 4).Draw(t, "brokers in a rack")
		uneven := rapid.IntRange(0, 3).Draw(t, "brokers more in the first rack")
		var racks []string
		for i := range kinds {
			for range size {
				racks = append(racks, fmt.Sprint("rack", i))
			}
		}
		for range uneven {
			racks = append(racks, "rack0")
		}
		racks = rapid.Permutation(racks).Draw(t, "order")
		replicas := rapid.IntRange(1, len(racks)).Draw(t, "replicas")
		fenced := map[int32]bool{}
		for id := range rapid.IntRange(0, len(racks)-1).Draw(t, "fenced") {
			fenced[int32(id)] = true
		}
		n, first := rapid.IntRange(1, 60).Draw(t, "partitions"), rapid.IntRange(0, 60).Draw(t, "first")
		partitions, err := place(racked(racks...), first, n, replicas, given{random: rapid.IntRange(0, 1<<40).Draw(t, "random"), fenced: fenced})
		if err != nil {
			t.Fatal(err)
		}
		leaders, held := map[int32]int{}, map[int32]int{}
		for i, p := range partitions {
			if p.ID != int32(first+i) || len(p.Replicas) != replicas {
				t.Fatalf("partition %d: %+v, want %d replicas", first+i, p, replicas)
			}
			leaders[p.Replicas[0]]++
			inRack := map[string]int{}
			for r, id := range p.Replicas {
				if slices.Contains(p.Replicas[:r], id) {
					t.Fatalf("replicas %v name a broker twice", p.Replicas)
				}
				held[id]++
				inRack[racks[id]]++
			}
			checkFenced(t, p.Replicas, racks, fenced)
			if want := min(replicas, kinds); len(inRack) != want {
				t.Fatalf("replicas %v are in %d racks of %v, want %d", p.Replicas, len(inRack), racks, want)
			}
		}
		if got := spread(leaders, len(racks), fenced); got > 1 {
			t.Errorf("leaders %v: %d apart, want 1 at most", leaders, got)
		}
		if got := spread(held, len(racks), nil); uneven == 0 && len(fenced) == 0 && got > 2 {
			t.Errorf("replicas %v: %d apart, want 2 at most", held, got)
		}
	})
}

// checkFenced says that a fenced broker leads nothing, and follows only where its rack
// has no other left.
func checkFenced(t *rapid.T, replicas []int32, racks []string, fenced map[int32]bool) {
	if fenced[replicas[0]] {
		t.Fatalf("replicas %v: the first is one of the fenced %v", replicas, fenced)
	}
	for _, id := range replicas {
		for other := range int32(len(racks)) {
			if fenced[id] && !fenced[other] && racks[other] == racks[id] && !slices.Contains(replicas, other) {
				t.Fatalf("replicas %v have %d, which is fenced, and not %d of its rack", replicas, id, other)
			}
		}
	}
}

// The partitions of one leader do not all have the same followers: when it is gone
// its load is shared.
func TestPlacementVariesFollowers(t *testing.T) {
	partitions, err := place(racked("", "", "", "", ""), 0, 20, 2, given{random: 3})
	if err != nil {
		t.Fatal(err)
	}
	seconds := map[int32]map[int32]bool{}
	for _, p := range partitions {
		if seconds[p.Replicas[0]] == nil {
			seconds[p.Replicas[0]] = map[int32]bool{}
		}
		seconds[p.Replicas[0]][p.Replicas[1]] = true
	}
	for leader, of := range seconds {
		if len(of) < 3 {
			t.Errorf("the four partitions of leader %d have the followers %v only", leader, of)
		}
	}
}
