package replication

import (
	"strings"
	"testing"

	"github.com/oncelog/oncelog/protocol/record"
)

// TestFuzzFindsFaults: the judge is only worth what it finds. Each of these is
// a version of the order with one rule left out.
func TestFuzzFindsFaults(t *testing.T) {
	for name, faulty := range map[string]func(*order) ledger{
		"stale commands are stored (hard-02)":             storeStale,
		"batches are checked outside the round (hard-01)": checkOutside,
		"a duplicate is answered at once (hard-04)":       answerDuplicates,
		"acks=all is answered when stored":                answerStored,
		"the high watermark is the log end":               commitStored,
	} {
		t.Run(name, func(t *testing.T) {
			for bubble := range uint64(40) {
				seed := bubble + 1
				if strings.HasPrefix(name, "stale") {
					seed *= soloEvery // an only voter wins at once, before raft has refused its queue
				}
				if count, violations := fuzzBubble(t, seed, faulty); len(violations) > 0 {
					t.Logf("found in bubble %d (%v): %.200s", bubble+1, count, violations[0])
					return
				}
			}
			t.Error("not found in 40 bubbles")
		})
	}
}

// faultyLedger is an order some of whose steps are replaced.
type faultyLedger struct {
	*order
	storeStale, commitStored bool
	stale                    map[*proposal]bool
}

func (l *faultyLedger) claim(term, ticket, storeTerm uint64) *proposal {
	q := l.order.claim(term, ticket, storeTerm)
	if q == nil && l.storeStale {
		q = &proposal{data: make([]byte, record.HeaderSize)}
		l.stale[q] = true
	}
	return q
}

func (l *faultyLedger) keptBy(claimed []*proposal, err error, mark *watermark) {
	var own []*proposal
	for _, q := range claimed {
		if !l.stale[q] {
			own = append(own, q)
		}
	}
	if l.commitStored && err == nil && len(own) > 0 {
		g := l.p.group.Load()
		last := own[len(own)-1]
		m := completed(g.log, last.index, g.raft.CurrentTerm(), last.last+1)
		mark = &m
	}
	l.order.keptBy(own, err, mark)
}

func storeStale(o *order) ledger {
	return &faultyLedger{order: o, storeStale: true, stale: make(map[*proposal]bool)}
}

func commitStored(o *order) ledger { return &faultyLedger{order: o, commitStored: true} }

func checkOutside(o *order) ledger {
	o.check = func(lead *reign, batch []*proposal) {
		for _, q := range batch {
			o.judge(lead, []*proposal{q})
		}
	}
	return o
}

func answerDuplicates(o *order) ledger {
	o.check = func(lead *reign, batch []*proposal) {
		o.judge(lead, batch)
		for _, q := range batch {
			if q.outcome == known {
				q.acks = 1
			}
		}
	}
	return o
}

func answerStored(o *order) ledger {
	o.check = func(lead *reign, batch []*proposal) {
		o.judge(lead, batch)
		for _, q := range batch {
			q.acks = 1
		}
	}
	return o
}
