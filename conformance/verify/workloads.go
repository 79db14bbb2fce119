package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Workloads of a load. Each is a set of processes; some are of several.
const (
	Append = "append" // transactions over several partitions, some of which read too; offsets of a group in them; both protocols
	Bank   = "bank"   // transfers: what one account loses another gets
	ETL    = "etl"    // consume, transform and produce in transactions
	Idem   = "idem"   // idempotent producers without transactions
	Fence  = "fence"  // two instances of one transactional id take it from each other
	Abort  = "abort"  // transactions that are aborted, or left, nearly all of them
	Churn  = "churn"  // members of a group that come and go
)

// Workloads lists all of them.
func Workloads() []string { return []string{Append, Bank, ETL, Idem, Fence, Abort, Churn} }

// CheckWorkloads says which name is no workload.
func CheckWorkloads(names []string) error {
	for _, name := range names {
		if !slices.Contains(Workloads(), name) {
			return fmt.Errorf("workload %q is not known, want some of %s", name, strings.Join(Workloads(), ", "))
		}
	}
	return nil
}

// A process is one of a load's; it goes on through the lives of its clients.
type process struct {
	name  string
	crew  *crew
	usual bool     // of a load that names no workloads, too
	of    []string // workloads
	work  func(ctx context.Context, process string) error
}

// processes are all that a load may have, in the order in which they start.
func (l *Load) processes() []process {
	appends, owner := []string{Append}, &owner{}
	all := []process{
		{"etl-0", &l.pipes, true, []string{ETL}, l.transform},
		{"member-0", &l.pipes, true, []string{Churn}, l.consume},
		{"etl-1", &l.pipes, true, []string{ETL}, l.transform},
		{"member-1", &l.pipes, true, []string{Churn}, l.consume},
		{"idempotent-0", &l.writers, true, []string{Idem, Churn}, func(ctx context.Context, process string) error { return l.produce(ctx, process, 0) }},
		{"idempotent-1", &l.writers, true, []string{Idem}, func(ctx context.Context, process string) error { return l.produce(ctx, process, 300) }},
		{"tv2-0", &l.writers, true, []string{Append, ETL}, l.transact(func(t *transactor) { t.partition = 0 })},
		{"tv2-1", &l.writers, true, appends, l.transact(func(t *transactor) { t.partition, t.hasty = 1, true })}, // gives up, and never knows
		{"tv1-0", &l.writers, true, appends, l.transact(func(t *transactor) { t.partition, t.tv1 = 2, true })},
	}
	for i := range l.options.Transactors {
		all = append(all, process{fmt.Sprintf("tv2-%d", i+2), &l.writers, true, appends, l.transact(func(*transactor) {})})
	}
	for i := range 2 {
		all = append(all,
			process{fmt.Sprintf("append-%d", i), &l.writers, false, appends, l.transact(func(t *transactor) { t.polls = true })},
			process{fmt.Sprintf("bank-%d", i), &l.writers, false, []string{Bank}, l.transact(func(t *transactor) { t.records = t.transfer })},
			process{fmt.Sprintf("abort-%d", i), &l.writers, false, []string{Abort}, l.transact(func(t *transactor) { t.aborting = true })},
			process{fmt.Sprintf("fence-%d", i), &l.writers, false, []string{Fence}, l.transact(func(t *transactor) { t.name, t.owner = l.options.Name+"-fence", owner })},
			process{fmt.Sprintf("churn-%d", i), &l.pipes, false, []string{Churn}, l.comeAndGo})
	}
	return all
}

// runs says whether a process is one of this load.
func (l *Load) runs(p process) bool {
	if l.options.Only != nil && !l.options.Only(p.name) {
		return false
	}
	if len(l.options.Workloads) == 0 {
		return p.usual
	}
	return slices.ContainsFunc(p.of, l.does)
}

// does says whether the load has a workload.
func (l *Load) does(workload string) bool {
	if len(l.options.Workloads) == 0 {
		return slices.Contains([]string{Append, ETL, Idem, Churn}, workload)
	}
	return slices.Contains(l.options.Workloads, workload)
}

// FloorsOf are what a load of workloads with mishaps has to achieve in so many
// rounds to prove anything. Of mishaps, which come by chance, each has to come in
// the whole run.
func FloorsOf(workloads []string, m Mishaps, rounds int) Floors {
	f := Floors{Acked: 20, Read: 50 * rounds, Grants: 5 * rounds}
	for _, workload := range workloads {
		switch workload {
		case Append:
			f.Ended, f.Committed, f.Aborted, f.Polled = 5, 5*rounds, rounds, rounds
		case Bank:
			f.Ended, f.Transfers = 5, 5*rounds
		case ETL:
			f.Ended, f.Transformed = 5, 10*rounds
		case Fence:
			f.Zombies = max(f.Zombies, rounds)
		case Abort:
			f.Aborted = max(f.Aborted, 2*rounds)
		case Churn:
			f.Positions = rounds
		}
	}
	transactional := slices.ContainsFunc(workloads, func(w string) bool { return w != Idem && w != Churn })
	some := func(floor *int, on bool, least int) {
		if on {
			*floor = max(*floor, least)
		}
	}
	some(&f.Zombies, m.Zombies > 0 && transactional, 1)
	some(&f.ClientKills, m.Lifetime > 0, max(1, rounds/2))
	some(&f.LateCopies, m.Late > 0, rounds)
	some(&f.LostAnswers, m.Lost > 0, 1)
	some(&f.Cuts, m.Cut > 0, 1)
	return f
}
