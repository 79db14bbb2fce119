package verify

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// figuresOf counts what a history achieved.
func figuresOf(h History) Figures {
	f := Figures{Events: len(h), Faults: make(map[string]int), Recovery: longest(recoveries(h)), RecoveryOfEach: longest(recoveriesOfEach(h))}
	ends := make(map[string]int) // 1: asked for, 2: known
	transfers := make(map[string]bool)
	for i := range h {
		e := &h[i]
		f.Took = max(f.Took, e.At)
		switch e.Kind {
		case Round:
			f.Rounds++
		case Kill:
			f.Kills++
		case Fault:
			f.Faults[e.Value]++
		case Zombie:
			f.Zombies++
		case Mishap:
			f.mishap(e.Value)
		case Ack:
			f.Acked++
		case Fail:
			f.Failed++
		case Read:
			f.Read++
		case Committed:
			f.Positions++
		case Grant:
			f.Grants++
		case Poll:
			f.Polled++
		case View:
			if e.Source != "" {
				f.Transformed++
			}
		case Send:
			if e.Txn != "" {
				ends[e.Txn] = max(ends[e.Txn], 1)
				transfers[e.Txn] = e.Account != ""
			}
		case Ended:
			ends[e.Txn] = 2
			if e.Commit {
				f.Committed++
				if transfers[e.Txn] {
					f.Transfers++
				}
			} else {
				f.Aborted++
			}
		}
	}
	for _, state := range ends {
		if state == 1 {
			f.Unsure++
		}
	}
	return f
}

func (f *Figures) mishap(what string) {
	switch what {
	case ClientKill:
		f.ClientKills++
	case LateCopy:
		f.LateCopies++
	case LostAnswer:
		f.LostAnswers++
	case Cut:
		f.Cuts++
	}
}

// missed lists the floors that a history did not reach.
func missed(h History, f Floors, got Figures) []string {
	var all []string
	want := func(what string, got, want int) {
		if got < want {
			all = append(all, fmt.Sprintf("%d %s, want %d", got, what, want))
		}
	}
	want("rounds", got.Rounds, 1)
	want("committed transactions", got.Committed, f.Committed)
	want("aborted transactions", got.Aborted, f.Aborted)
	want("ended transactions", got.Committed+got.Aborted, f.Transactions)
	want("records through a pipeline", got.Transformed, f.Transformed)
	want("records read while following", got.Read, f.Read)
	want("commits of groups", got.Positions, f.Positions)
	want("producer ids granted", got.Grants, f.Grants)
	faults := 0
	for _, n := range got.Faults {
		faults += n
	}
	want("faults", faults, f.AllFaults)
	want("killed clients", got.ClientKills, f.ClientKills)
	want("zombies", got.Zombies, f.Zombies)
	want("late copies", got.LateCopies, f.LateCopies)
	want("lost answers", got.LostAnswers, f.LostAnswers)
	want("connections cut", got.Cuts, f.Cuts)
	want("committed transfers", got.Transfers, f.Transfers)
	want("records read in transactions", got.Polled, f.Polled)
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		want("times "+name, got.Faults[name], f.Faults[name])
	}
	round, acked, ended, kills := 0, 0, 0, 0
	finish := func() {
		if round > 0 {
			want(fmt.Sprintf("acknowledged records in round %d", round), acked, f.Acked)
			want(fmt.Sprintf("ended transactions in round %d", round), ended, f.Ended)
			want(fmt.Sprintf("kills in round %d", round), kills, f.Kills)
		}
		acked, ended, kills = 0, 0, 0
	}
	for i := range h {
		switch h[i].Kind {
		case Round:
			finish()
			round++
		case Ack:
			acked++
		case Ended:
			ended++
		case Kill:
			kills++
		}
	}
	finish()
	return all
}

// A recovery is how long it took from everything being well to the next
// acknowledgement, or to whatever ended the wait.
type recovery struct {
	of    partition // in which; of recoveries: any
	at    int       // position of the Healed event
	took  time.Duration
	acked bool
}

// recoveries lists those of a history. A fault that comes before the
// acknowledgement ends one without a result.
func recoveries(h History) (all []recovery) {
	open := -1
	for i := range h {
		e := &h[i]
		switch {
		case e.Kind == Healed:
			open = i
		case open >= 0 && (e.Kind == Ack || e.Kind == Fault || i == len(h)-1):
			all = append(all, recovery{at: open, took: e.At - h[open].At, acked: e.Kind == Ack})
			open = -1
		}
	}
	return all
}

// recoveriesOfEach lists those of each partition that was written to before. A
// fault, or that the clients left, ends the wait of those that are not there yet.
func recoveriesOfEach(h History) (all []recovery) {
	healed, written, waiting := 0, map[partition]bool{}, map[partition]bool{}
	note := func(of partition, i int, acked bool) {
		all = append(all, recovery{of: of, at: healed, took: h[i].At - h[healed].At, acked: acked})
		delete(waiting, of)
	}
	giveUp := func(i int) {
		for _, of := range partitions(waiting) {
			note(of, i, false)
		}
	}
	for i := range h {
		switch e := &h[i]; e.Kind {
		case Send:
			written[e.partition()] = true
		case Ack:
			if waiting[e.partition()] {
				note(e.partition(), i, true)
			}
		case Fault, Left:
			giveUp(i)
		case Healed:
			giveUp(i)
			healed, waiting = i, maps.Clone(written)
		}
	}
	giveUp(len(h) - 1)
	return all
}

func longest(all []recovery) (d time.Duration) {
	for _, r := range all {
		d = max(d, r.took)
	}
	return d
}
