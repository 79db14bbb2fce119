package verify

import (
	"fmt"
	"time"
)

// isolation finds what a reader of committed data must not see:
// G1a-aborted-read and precommitted-read.
func isolation(x *index) (found []Anomaly) {
	for i := range x.history {
		e := &x.history[i]
		if !e.shows() {
			continue
		}
		sent, ok := x.sent[e.Value]
		if !ok || x.history[sent].Txn == "" {
			continue
		}
		name := x.history[sent].Txn
		t := x.txns[name]
		switch {
		case t.told(false), t.asked < 0, !t.commit:
			found = append(found, Anomaly{"G1a-aborted-read", fmt.Sprintf("%s at %s is seen, and %s was not committed%s", e.Value, e.place(), name, x.lateEnd(t)), i})
		case !t.mayCommit(i):
			found = append(found, Anomaly{"precommitted-read", fmt.Sprintf("%s at %s is seen before the commit of %s was asked for", e.Value, e.place(), name), i})
		}
	}
	return found
}

// shows says that a reader of committed data was given a record.
func (e *Event) shows() bool { return e.Kind == View || e.Kind == Poll || e.Kind == Read && e.Stable }

// lateEnd names the late copy of an older transaction's EndTxn that may have ended
// this one: before KIP-890 both have the same producer id and epoch.
func (x *index) lateEnd(t *transaction) string {
	if len(t.sends) == 0 {
		return ""
	}
	began := t.sends[0]
	session := x.history[began].Process
	for _, i := range x.late[session] {
		sent := x.history[i].Since
		if i < began || sent > began {
			continue
		}
		for j := min(sent, len(x.history)) - 1; j >= 0; j-- {
			if e := &x.history[j]; e.Kind == End && e.Process == session {
				how := "abort"
				if e.Commit {
					how = "commit"
				}
				return fmt.Sprintf("; the request to %s %s came again in between (event %d)", how, e.Txn, i)
			}
		}
	}
	return ""
}

// transactions wants each to be there as a whole, with the offsets of its
// groups, or not at all: torn-txn.
func transactions(x *index) (found []Anomaly) {
	final := finalPositions(x.history)
	for _, name := range x.names {
		t := x.txns[name]
		seen, at := 0, max(t.asked, t.ended)
		for _, i := range t.sends {
			if places := x.view[x.history[i].Value]; len(places) > 0 {
				seen++
				at = places[0]
			}
		}
		committed := t.told(true)
		if (committed || seen > 0) && seen < len(t.sends) {
			found = append(found, Anomaly{"torn-txn", fmt.Sprintf("%d of %d records of %s are seen; told committed: %v%s", seen, len(t.sends), name, committed, x.lateEnd(t)), at})
		}
		for _, i := range t.includes {
			e := &x.history[i]
			position, known := final[groupPartition{e.Group, e.partition()}]
			if (committed || seen > 0) && known && position < e.Offset {
				found = append(found, Anomaly{"torn-txn", fmt.Sprintf("%s is committed; its offset %d of group %s is not, which is at %d of %s",
					name, e.Offset, e.Group, position, e.partition()), at})
			}
		}
	}
	return found
}

// zombies wants nothing to come of what a client does after another has taken its
// transactional id over: zombie-commit, zombie-write.
func zombies(x *index) (found []Anomaly) {
	woken := make(map[string]int) // by session
	for i := range x.history {
		e := &x.history[i]
		since, zombie := woken[e.Process]
		switch {
		case e.Kind == Zombie:
			woken[e.Process] = i
		case !zombie:
		case e.Kind == Ack && x.sent[e.Value] > since:
			found = append(found, Anomaly{"zombie-write", fmt.Sprintf("%s of %s is acknowledged at %s, and another client has its transactional id", e.Value, e.Process, e.place()), i})
		case e.Kind == Ended && e.Commit && x.txns[e.Txn].asked > since:
			found = append(found, Anomaly{"zombie-commit", fmt.Sprintf("%s of %s is told committed, and another client has its transactional id", e.Txn, e.Process), i})
		}
	}
	for _, name := range x.names {
		t := x.txns[name]
		if t.asked < 0 {
			continue
		}
		since, zombie := woken[x.history[t.asked].Process]
		if !zombie || t.asked < since {
			continue
		}
		for _, i := range t.sends {
			if places := x.view[x.history[i].Value]; len(places) > 0 {
				found = append(found, Anomaly{"zombie-commit", fmt.Sprintf("%s is seen, and %s was asked to commit by a client whose transactional id another had", x.history[i].Value, name), places[0]})
			}
		}
	}
	return found
}

// doubled finds a marker that was written again: marker-mismatch. Where every
// transaction has an epoch of its own (KIP-890), one that the epoch of its
// records names is the only one.
func doubled(x *index) (found []Anomaly) {
	for _, p := range partitions(x.log) {
		data, ended := make(map[int64]int16), make(map[int64]*Event) // by producer id, since its last marker
		for _, i := range x.log[p] {
			e := &x.history[i]
			epoch, any := data[e.ProducerID]
			before := ended[e.ProducerID]
			switch {
			case !e.Transactional && !e.Control:
			case !e.Control:
				data[e.ProducerID] = e.Epoch
				delete(ended, e.ProducerID)
			case any && epoch < e.Epoch:
				ended[e.ProducerID] = e
				delete(data, e.ProducerID)
			case before != nil && !any && before.Epoch == e.Epoch && before.Commit == e.Commit:
				found = append(found, Anomaly{"marker-mismatch", fmt.Sprintf("the marker of producer id %d epoch %d at %s is there again at %s", e.ProducerID, e.Epoch, before.place(), e.place()), i})
			default:
				delete(ended, e.ProducerID)
				delete(data, e.ProducerID)
			}
		}
	}
	return found
}

// markers works the committed view out again from the control records of the
// final log and compares: marker-mismatch.
func markers(x *index) (found []Anomaly) {
	if len(x.shown) == 0 || x.markersHidden() {
		return nil // the view was not read, or what it follows from
	}
	expected := make(map[place]bool)
	for _, p := range partitions(x.log) {
		open := make(map[int64][]place) // by producer id
		for _, i := range x.log[p] {
			e := &x.history[i]
			switch {
			case e.Control && e.Commit:
				for _, committed := range open[e.ProducerID] {
					expected[committed] = true
				}
				delete(open, e.ProducerID)
			case e.Control:
				delete(open, e.ProducerID)
			case e.Transactional:
				open[e.ProducerID] = append(open[e.ProducerID], e.place())
			default:
				expected[e.place()] = true
			}
		}
	}
	for _, p := range partitions(x.shown) {
		for _, i := range x.shown[p] {
			e := &x.history[i]
			if !expected[e.place()] {
				found = append(found, Anomaly{"marker-mismatch", fmt.Sprintf("%s at %s is seen, and its marker does not say so", e.Value, e.place()), i})
			}
			delete(expected, e.place())
		}
	}
	for missing := range expected {
		i := x.at[missing]
		found = append(found, Anomaly{"marker-mismatch", fmt.Sprintf("%s at %s is committed by its marker, and not seen", x.history[i].Value, missing), i})
	}
	return found
}

// watermarks wants no answer to go back: hw-regress, lso-regress, lso-above-hw,
// log-start-moved. An answer is compared with those that came before it was
// asked for, and with the one before it of the same process.
//
// A leader that was replaced and has not heard of it may tell what it last knew,
// as in Kafka: answers that name a leader epoch are compared with those that name
// the same or an older one.
func watermarks(x *index) (found []Anomaly) {
	high, stable := make(tide), make(tide)
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != Watermark {
			continue
		}
		for _, look := range []struct {
			name string
			got  int64
			tide tide
		}{{"hw-regress", e.HighWatermark, high}, {"lso-regress", e.LastStable, stable}} {
			if look.got < 0 {
				continue
			}
			if before := look.tide.before(e); look.got < before {
				found = append(found, Anomaly{look.name, fmt.Sprintf("%s of %d told %s, after %d", e.partition(), look.got, e.Process, before), i})
			}
			look.tide.add(i, e, look.got)
		}
		if e.HighWatermark >= 0 && e.LastStable > e.HighWatermark {
			found = append(found, Anomaly{"lso-above-hw", fmt.Sprintf("%s has last stable offset %d, high watermark %d", e.partition(), e.LastStable, e.HighWatermark), i})
		}
		if e.Start > 0 {
			found = append(found, Anomaly{"log-start-moved", fmt.Sprintf("%s begins at %d", e.partition(), e.Start), i})
		}
	}
	return found
}

// A tide knows how high something of each partition was told to be, by the
// leader epoch of who told it.
type tide map[partition]map[int32]*told

type told struct {
	all  summit
	last map[string]int64 // by process
}

// before is the highest that the answer e may not be below.
func (t tide) before(e *Event) int64 {
	highest := int64(-1)
	for epoch, told := range t[e.partition()] {
		if e.LeaderEpoch > 0 && (epoch == 0 || epoch > e.LeaderEpoch) {
			continue
		}
		before, _ := told.all.before(e.Since)
		highest = max(highest, before)
		if own, ok := told.last[e.Process]; ok {
			highest = max(highest, own)
		}
	}
	return highest
}

func (t tide) add(i int, e *Event, v int64) {
	if t[e.partition()] == nil {
		t[e.partition()] = make(map[int32]*told)
	}
	of := t[e.partition()][e.LeaderEpoch]
	if of == nil {
		of = &told{last: make(map[string]int64)}
		t[e.partition()][e.LeaderEpoch] = of
	}
	of.all.add(i, v)
	of.last[e.Process] = v
}

// hanging wants every last stable offset at its high watermark soon after the
// last transactional client left: hung-txn. An answer counts by the time at
// which it was asked for, so that a slow machine hangs nothing.
func hanging(x *index) (found []Anomaly) {
	for i := range x.history {
		left := &x.history[i]
		if left.Kind != Left {
			continue
		}
		closed := make(map[partition]bool)
		late := make(map[partition]int)
		for j := i + 1; j < len(x.history); j++ {
			e := &x.history[j]
			if e.Kind != Watermark || e.Topic != left.Topic || e.Since <= i || e.HighWatermark < 0 || e.LastStable < 0 {
				continue
			}
			if e.LastStable == e.HighWatermark {
				closed[e.partition()] = true
			} else if _, ok := late[e.partition()]; !ok && x.history[e.Since-1].At > left.At+left.Within {
				late[e.partition()] = j
			}
		}
		for _, p := range partitions(late) {
			e := &x.history[late[p]]
			found = append(found, Anomaly{"hung-txn", fmt.Sprintf("%s has last stable offset %d, high watermark %d, %v after the last client left, want equal after %v",
				p, e.LastStable, e.HighWatermark, (e.At - left.At).Round(time.Millisecond), left.Within), late[p]})
		}
		for _, p := range partitions(x.ends) {
			if _, told := late[p]; p.topic == left.Topic && !closed[p] && !told {
				found = append(found, Anomaly{"hung-txn", fmt.Sprintf("%s was never seen without an open transaction after the last client left", p), i})
			}
		}
	}
	return found
}

// progress wants an acknowledgement soon after everything was well again, and one
// in each partition somewhat later: no-progress.
func progress(x *index) (found []Anomaly) {
	for _, r := range recoveries(x.history) {
		if e := &x.history[r.at]; r.took > e.Within {
			found = append(found, Anomaly{"no-progress", fmt.Sprintf("nothing was acknowledged for %v after everything was well again, want %v at most (acknowledged in the end: %v)",
				r.took.Round(time.Millisecond), e.Within, r.acked), r.at})
		}
	}
	piped := make(map[string]bool)
	for _, e := range x.history {
		if e.Kind == Pipeline {
			piped[e.To] = true
		}
	}
	for _, r := range recoveriesOfEach(x.history) {
		within := x.history[r.at].Each
		if piped[r.of.topic] {
			within *= 2 // its group has to notice first that members are gone
		}
		if within > 0 && r.took > within {
			found = append(found, Anomaly{"no-progress", fmt.Sprintf("nothing was acknowledged in %v for %v after everything was well again, want %v at most (acknowledged in the end: %v)",
				r.of, r.took.Round(time.Millisecond), within, r.acked), r.at})
		}
	}
	return found
}
