//go:build planted && synctests

package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/protocol/planted"
)

// plantedSeeds bounds how many seeds a bug may need to show.
const plantedSeeds = 150

// TestPlantedBugsAreFound plants one bug after the other and wants the
// simulation to find it, and none where none is planted.
func TestPlantedBugsAreFound(t *testing.T) {
	defer planted.Choose("")
	for _, bug := range append([]planted.Bug{""}, planted.Simulated...) {
		planted.Choose(bug)
		name, most := string(bug), uint64(plantedSeeds)
		if bug == "" {
			name, most = "none", 5
		}
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			for seed := uint64(1); seed <= most; seed++ {
				v := simulate(t, planFor(bug, seed))
				if len(v.Anomalies) == 0 {
					continue
				}
				var names []string
				for _, a := range v.Anomalies {
					names = append(names, a.Name)
				}
				slices.Sort(names)
				t.Logf("found by seed %d in %v: %s", seed, time.Since(began).Round(time.Millisecond), strings.Join(slices.Compact(names), ", "))
				if bug == "" {
					report(t, seed, v)
				}
				return
			}
			if bug != "" {
				t.Errorf("not found in %d seeds", most)
			}
		})
	}
}

// planFor is a plan in which a bug can show: there is what it breaks.
func planFor(bug planted.Bug, seed uint64) plan {
	p := planOf(seed)
	switch bug {
	case planted.LogStartForgotten:
		p.tidies = true
	case planted.DuplicateAccepted, planted.ZombieAccepted, planted.MarkerTwice:
		p.mishaps = busy
	case planted.FsyncSkipped:
		p.synced = true
		p.faults = append(p.faults, fault{after: time.Second, kind: cutAll, length: time.Second})
	case planted.FenceIgnored:
		for i := range p.faults {
			p.faults[i] = fault{after: time.Second, kind: cutOff, node: p.faults[i].node, length: 3 * time.Second}
		}
	}
	return p
}
