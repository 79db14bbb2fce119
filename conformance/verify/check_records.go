package verify

import (
	"cmp"
	"fmt"
	"strings"
)

// writes compares what was acknowledged with the final log: lost-write,
// inconsistent-offsets, duplicate, phantom.
func writes(x *index) (found []Anomaly) {
	for i := range x.history {
		e := &x.history[i]
		switch e.Kind {
		case Ack:
			places := x.where[e.Value]
			if len(places) == 0 {
				found = append(found, Anomaly{"lost-write", fmt.Sprintf("%s was acknowledged at %s and is nowhere", e.Value, e.place()), i})
			} else if p := x.history[places[0]].place(); p != e.place() {
				found = append(found, Anomaly{"inconsistent-offsets", fmt.Sprintf("%s was acknowledged at %s and is at %s", e.Value, e.place(), p), i})
			}
		case Log:
			if e.Control {
				continue
			}
			sent, ok := x.sent[e.Value]
			if !ok || x.history[sent].partition() != e.partition() {
				found = append(found, Anomaly{"phantom", fmt.Sprintf("%q is at %s, where nobody sent it", e.Value, e.place()), i})
			}
			if places := x.where[e.Value]; places[0] != i {
				first := x.history[places[0]].place()
				found = append(found, Anomaly{"duplicate", fmt.Sprintf("%s is at %s and at %s", e.Value, first, e.place()), i})
			}
		}
	}
	return found
}

// order finds records of a session that lie in the log in another order than
// they were sent: nonmonotonic-send.
func order(x *index) (found []Anomaly) {
	for _, p := range partitions(x.log) {
		newest := make(map[string]int) // by session: position of the newest Send
		for _, i := range x.log[p] {
			e := &x.history[i]
			sent, ok := x.sent[e.Value]
			if !ok || e.Control || x.where[e.Value][0] != i {
				continue
			}
			session := x.history[sent].Process
			if before, ok := newest[session]; ok && sent < before {
				found = append(found, Anomaly{"nonmonotonic-send", fmt.Sprintf("%s was sent before %s and is behind it at %s",
					e.Value, x.history[before].Value, e.place()), i})
			}
			newest[session] = max(newest[session], sent)
		}
	}
	return found
}

// gaps wants a record at each offset below the high watermark: offset-gap.
func gaps(x *index) (found []Anomaly) {
	for _, p := range partitions(x.ends) {
		if len(x.log) == 0 || x.markersHidden() {
			return nil // the log was not read, or not all of it
		}
		end := x.ends[p]
		next := end.Start
		last := len(x.history) - 1
		for _, i := range x.log[p] {
			if o := x.history[i].Offset; o > next {
				found = append(found, Anomaly{"offset-gap", fmt.Sprintf("%s has nothing at %d to %d", p, next, o-1), i})
			}
			next, last = x.history[i].Offset+1, i
		}
		if next < end.HighWatermark {
			found = append(found, Anomaly{"offset-gap", fmt.Sprintf("%s ends at %d, its high watermark is %d", p, next, end.HighWatermark), last})
		}
	}
	return found
}

// reads compares what readers that follow were given with the final log:
// vanished, nonmonotonic-poll, poll-skip and unseen.
func reads(x *index) (found []Anomaly) {
	type following struct {
		process string
		partition
	}
	newest := make(map[following]int64)
	seen := make(map[string]map[place]bool) // by process
	stable := make(map[string]bool)
	var readers []string
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != Read {
			continue
		}
		if seen[e.Process] == nil {
			seen[e.Process], stable[e.Process] = make(map[place]bool), e.Stable
			readers = append(readers, e.Process)
		}
		seen[e.Process][e.place()] = true
		at, ok := x.at[e.place()]
		if final := x.history[max(at, 0)]; !ok || final.Value != e.Value || final.Control != e.Control {
			found = append(found, Anomaly{"vanished", fmt.Sprintf("%s read %q at %s, which is not there any more", e.Process, e.Value, e.place()), i})
		}
		who := following{e.Process, e.partition()}
		if before, ok := newest[who]; ok && e.Offset <= before {
			found = append(found, Anomaly{"nonmonotonic-poll", fmt.Sprintf("%s read %s after offset %d", e.Process, e.place(), before), i})
		}
		newest[who] = max(newest[who], e.Offset)
	}
	for _, reader := range readers {
		all := x.log
		if stable[reader] {
			all = x.shown
		}
		for _, p := range partitions(all) {
			last, began := newest[following{reader, p}]
			for _, i := range all[p] {
				e := &x.history[i]
				if seen[reader][e.place()] {
					continue
				}
				name := "unseen"
				if began && e.Offset < last {
					name = "poll-skip"
				}
				found = append(found, Anomaly{name, fmt.Sprintf("%s never read %q at %s", reader, e.Value, e.place()), i})
			}
		}
	}
	return found
}

// losses are those that a client noticed by itself: the log was cut below its
// position (KIP-320), which is vanished.
func losses(x *index) (found []Anomaly) {
	for i := range x.history {
		if e := &x.history[i]; e.Kind == Loss {
			found = append(found, Anomaly{"vanished", fmt.Sprintf("%s noticed at %s: %s", e.Process, e.place(), e.Error), i})
		}
	}
	return found
}

// sequences finds refusals that no producer earns which keeps the order:
// sequence-broken (promise: a resend is a duplicate, and nothing between is
// missing).
func sequences(x *index) (found []Anomaly) {
	for i := range x.history {
		e := &x.history[i]
		if e.Kind == Fail && (strings.Contains(e.Error, "OUT_OF_ORDER_SEQUENCE_NUMBER") || strings.Contains(e.Error, "UNKNOWN_PRODUCER_ID")) {
			found = append(found, Anomaly{"sequence-broken", fmt.Sprintf("%s of %s: %s", e.Value, e.Process, e.Error), i})
		}
	}
	return found
}

// producerIDs finds a producer id that two sessions had in one epoch, and an
// epoch that went back: pid-reuse, epoch-regress.
func producerIDs(x *index) (found []Anomaly) {
	type identity struct {
		id    int64
		epoch int16
	}
	owner := make(map[identity]string)
	owns := func(i int, session string) {
		e := &x.history[i]
		who := identity{e.ProducerID, e.Epoch}
		if other, taken := owner[who]; taken && other != session {
			found = append(found, Anomaly{"pid-reuse", fmt.Sprintf("producer id %d epoch %d belongs to %s and to %s", e.ProducerID, e.Epoch, other, session), i})
		}
		owner[who] = session
	}
	granted := make(map[int64]*summit)
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != Grant {
			continue
		}
		if granted[e.ProducerID] == nil {
			granted[e.ProducerID] = &summit{}
		}
		// Two that ask at the same time may be told in any order.
		if before, _ := granted[e.ProducerID].before(cmp.Or(e.Since, i)); int64(e.Epoch) < before {
			found = append(found, Anomaly{"epoch-regress", fmt.Sprintf("%s was given producer id %d epoch %d after epoch %d", e.Process, e.ProducerID, e.Epoch, before), i})
			continue
		}
		granted[e.ProducerID].add(i, int64(e.Epoch))
		owns(i, e.Process)
	}
	for _, p := range partitions(x.log) {
		newest := make(map[int64]int16)
		for _, i := range x.log[p] {
			e := &x.history[i]
			if e.ProducerID < 0 {
				continue
			}
			if e.Epoch < newest[e.ProducerID] {
				found = append(found, Anomaly{"epoch-regress", fmt.Sprintf("%s is of producer id %d epoch %d, behind epoch %d", e.place(), e.ProducerID, e.Epoch, newest[e.ProducerID]), i})
			}
			newest[e.ProducerID] = max(newest[e.ProducerID], e.Epoch)
			if sent, ok := x.sent[e.Value]; ok && !e.Control {
				owns(i, x.history[sent].Process)
			}
		}
	}
	return found
}
