package conformance

import (
	"context"
	"errors"
	"slices"
)

// Record asks a broker every case, rounds times, and tells what it answered
// each time: the oracle is made of such recordings of Apache Kafka. What
// differs between the rounds is left out or told to vary.
//
// One case runs at a time, so that none sees what another does.
func Record(ctx context.Context, config Config, name string, rounds int) (Recording, error) {
	config.Parallel, config.Destructive, config.Expect, config.Seed = 1, true, nil, 0
	cases, err := config.selected()
	if err != nil {
		return Recording{}, err
	}
	s, err := open(ctx, config)
	if err != nil {
		return Recording{}, err
	}
	defer s.target.stop()
	s.recording = true
	target := s.cluster.Load().target(config.Brokers)
	recording := Recording{Name: name, Suite: Version, Speaks: target.Speaks, Features: target.Features}
	out := &progress{w: config.Progress, status: config.Status, total: len(cases) * max(1, rounds)}
	for round := range max(1, rounds) {
		for i, r := range s.round(ctx, cases, uint64(round), out) {
			rule := RecordedRule{ID: r.ID, Verdict: r.Verdict, Reason: r.Reason, Looks: r.looks, Exchanges: r.exchanges}
			if round == 0 {
				recording.Rules = append(recording.Rules, rule)
			} else {
				recording.Rules[i].merge(rule)
			}
		}
	}
	return recording, errors.Join(ctx.Err(), out.err)
}

// Differ lists the cases that the broker did not keep. Of Apache Kafka's
// newest version there are none: a case that it fails is a wrong case.
func (r Recording) Differ() []string {
	var ids []string
	for _, one := range r.Rules {
		if one.Verdict != Pass && one.Verdict != Skip {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// With is the recording with the rules of a newer one of the same broker put
// in, in the order of the list of cases. What the newer one had to skip, such as
// a rule that wants more brokers, stays. A rule that is no case any more goes.
func (r Recording) With(newer Recording) Recording {
	rules := map[string]RecordedRule{}
	for _, one := range r.Rules {
		rules[one.ID] = one
	}
	for _, one := range newer.Rules {
		if _, known := rules[one.ID]; !known || one.Verdict != Skip {
			rules[one.ID] = one
		}
	}
	newer.Rules = nil
	for _, c := range Cases() {
		if one, ok := rules[c.ID]; ok {
			newer.Rules = append(newer.Rules, one)
		}
	}
	return newer
}

// merge keeps what was the same in both rounds.
func (r *RecordedRule) merge(next RecordedRule) {
	if next.Verdict.severity() > r.Verdict.severity() {
		r.Verdict, r.Reason = next.Verdict, next.Reason
	}
	r.Exchanges = slices.DeleteFunc(r.Exchanges, func(line string) bool { return !slices.Contains(next.Exchanges, line) })
	kept := r.Looks[:0]
	for _, l := range r.Looks {
		i := slices.IndexFunc(next.Looks, func(n RecordedLook) bool { return n.What == l.What })
		if i < 0 {
			continue
		}
		if next.Looks[i].Answer != l.Answer {
			l.Answer = varies
		}
		kept = append(kept, l)
		next.Looks = slices.Delete(slices.Clone(next.Looks), i, i+1)
	}
	r.Looks = kept
}

// looks are the checks of a case without what differs from run to run.
func (n *normaliser) looks(checks []Check) []RecordedLook {
	var all []RecordedLook
	for _, c := range checks {
		if !c.retried {
			all = append(all, RecordedLook{n.text(c.What), n.looked(c.What, c.Got)})
		}
	}
	return all
}
