//go:build planted

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/oncelog/oncelog/conformance"
	"github.com/oncelog/oncelog/protocol/planted"
)

// plantedRules are the bugs that a lone broker shows to its clients, and for each
// the rules of the conformance suite that must find it. What only several brokers
// or a crash show is left to the simulation: planted.Simulated.
var plantedRules = []struct {
	bug   planted.Bug
	rules []string
}{
	{planted.DuplicateAccepted, []string{"idempotence/window/1", "idempotence/window/2"}},
	{planted.DuplicateMoved, []string{"idempotence/window/1", "txn/sequence/3"}},
	{planted.WindowShort, []string{"idempotence/window/2"}},
	{planted.SequenceUnwrapped, []string{"idempotence/wrap/1"}},
	{planted.GapAccepted, []string{"idempotence/sequence/1", "idempotence/window/3"}},
	{planted.EpochAnywhere, []string{"idempotence/epoch/1"}},
	{planted.FencedProduce, []string{"idempotence/epoch/2"}},
	{planted.ZombieAccepted, []string{"idempotence/epoch/2", "txn/fencing/4", "txn/zombie/3"}},
	{planted.FencedTold, []string{"txn/fencing/1", "txn/fencing/2", "txn/fencing/3", "txn/fencing/4"}},
	{planted.MappingUnchecked, []string{"txn/mapping/1"}},
	{planted.VerifySkipped, []string{"txn/verify/1", "txn/verify/2", "txn/verify/4"}},
	{planted.EmptyCommit, []string{"txn/empty/1"}},
	{planted.EndForgotten, []string{"txn/retry/1"}},
	{planted.EpochUntold, []string{"txn/flow/2", "txn/empty/2"}},
	{planted.CommitAborts, []string{"txn/flow/5", "read/control/1"}},
	{planted.FenceCommits, []string{"txn/init/2"}},
	{planted.TimeoutUnread, []string{"txn/timeout/1"}},
	{planted.MarkerTwice, []string{"read/control/1", "txn/retry/1"}},
	{planted.MarkerMissing, []string{"read/control/1", "txn/flow/1"}},
	{planted.OpenShown, []string{"read/lso/1", "read/lso/3"}},
	{planted.StableOfNewest, []string{"read/lso/2"}},
	{planted.AbortedShown, []string{"read/aborted/1"}},
	{planted.AbortedBefore, []string{"read/aborted/4"}},
	{planted.NullLists, []string{"read/aborted/1"}},
	{planted.IsolationUnread, []string{"read/lso/1", "read/lso/4"}},
	{planted.OffsetsOutside, []string{"group/offset/3", "txn/fencing/5"}},
	{planted.StableUnread, []string{"group/offset/3"}},
	{planted.OffsetUndone, []string{"group/offset/4"}},
	{planted.GenerationUnread, []string{"group/fence/1", "group/fence/2"}},
	{planted.InstanceUnfenced, []string{"group/static/1"}},
	{planted.FirstBatchCut, []string{"fetch/batch/1"}},
	{planted.RangeUnchecked, []string{"fetch/range/1"}},
	{planted.SessionTellsAll, []string{"fetch/session/1"}},
	{planted.NullConfigs, []string{"topic/create/1"}},
	{planted.ChecksumUnread, []string{"produce/batch/1"}},
	{planted.ControlAccepted, []string{"produce/batch/3"}},
	{planted.LogStartForgotten, []string{"offsets/records/1"}},
}

// neverComes lists the bugs with which something that a rule waits for never
// comes: such a rule is told to wait no longer than this.
var neverComes = map[planted.Bug]time.Duration{planted.MarkerMissing: 3 * time.Second, planted.TimeoutUnread: 5 * time.Second}

// TestRulesFindPlantedBugs plants one bug after the other into a broker and wants
// every rule that is named for it to fail; and none of them where none is planted.
func TestRulesFindPlantedBugs(t *testing.T) {
	defer planted.Choose("")
	var all []string
	found := map[planted.Bug]bool{}
	for _, row := range plantedRules {
		all = append(all, row.rules...)
		found[row.bug] = true
	}
	for _, bug := range planted.All {
		if !found[bug] && !slices.Contains(planted.Simulated, bug) {
			t.Errorf("nobody looks for %s", bug)
		}
	}
	slices.Sort(all)
	for _, r := range judgePlanted(t, "", slices.Compact(all)) {
		if r.Verdict != conformance.Pass {
			t.Errorf("no bug is planted, and yet %s", r.Text(nil))
		}
	}
	for _, row := range plantedRules {
		t.Run(string(row.bug), func(t *testing.T) {
			for _, r := range judgePlanted(t, row.bug, row.rules) {
				if r.Verdict != conformance.Fail || r.Level != conformance.Must {
					t.Errorf("%s is a %s rule that says %s, want MUST and FAIL", r.ID, r.Level, r.Verdict)
				}
			}
		})
	}
}

// judgePlanted runs rules against a broker of their own with a bug.
func judgePlanted(t *testing.T, bug planted.Bug, rules []string) []conformance.Result {
	t.Helper()
	planted.Choose("") // the broker before ends without it, and this one starts so
	config := conformance.Config{
		Brokers: []string{inProcess(t)}, Filter: rules, Parallel: 4, Strict: true, Destructive: true, Timeout: neverComes[bug],
	}
	planted.Choose(bug)
	defer planted.Choose("")
	began := time.Now()
	report, err := conformance.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules in %v", len(report.Results), time.Since(began).Round(time.Millisecond))
	return report.Results
}
