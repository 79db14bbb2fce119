package verify

import "fmt"

// A groupPartition is what a group has one committed offset for.
type groupPartition struct {
	group string
	partition
}

func (e *Event) groupPartition() groupPartition { return groupPartition{e.Group, e.partition()} }

// finalPositions are the last committed offsets that were told.
func finalPositions(h History) map[groupPartition]int64 {
	final := make(map[groupPartition]int64)
	for i := range h {
		if e := &h[i]; e.Kind == Position {
			final[e.groupPartition()] = e.Offset
		}
	}
	return final
}

// An asking is one offset that a group asked to commit, by itself or in a
// transaction.
type asking struct {
	at  int
	txn *transaction // nil: by itself
}

// positions wants committed offsets to be such that were asked for, within the
// log, and never to go back unasked: group-offset-phantom,
// group-offset-beyond-end, group-offset-regress.
func positions(x *index) (found []Anomaly) {
	asked := make(map[groupPartition]map[int64][]asking)
	known := make(map[groupPartition]*summit)
	know := func(p groupPartition, i int, offset int64) {
		if known[p] == nil {
			known[p] = &summit{}
		}
		known[p].add(i, offset)
	}
	for i := range x.history {
		e := &x.history[i]
		p := e.groupPartition()
		switch e.Kind {
		case Commit, Include:
			if asked[p] == nil {
				asked[p] = make(map[int64][]asking)
			}
			asked[p][e.Offset] = append(asked[p][e.Offset], asking{i, x.txns[e.Txn]})
		case Committed:
			know(p, i, e.Offset)
		case Ended:
			if e.Commit {
				for _, j := range x.txns[e.Txn].includes {
					know(x.history[j].groupPartition(), i, x.history[j].Offset)
				}
			}
		case Position:
			found = append(found, x.position(i, asked[p], known[p])...)
			know(p, i, e.Offset)
		}
	}
	return found
}

// position judges one answer.
func (x *index) position(i int, asked map[int64][]asking, known *summit) (found []Anomaly) {
	e := &x.history[i]
	highest, since := int64(-1), -1
	if known != nil {
		highest, since = known.before(e.Since)
	}
	possible, later := e.Offset < 0, false
	for _, a := range asked[e.Offset] {
		if a.txn == nil || a.txn.mayCommit(i) && !a.txn.told(false) {
			possible, later = true, later || a.at > since
		}
	}
	what := fmt.Sprintf("group %s is at %d of %s", e.Group, e.Offset, e.partition())
	if !possible {
		found = append(found, Anomaly{"group-offset-phantom", what + ", which nobody committed", i})
	}
	if e.Offset < highest && !later {
		found = append(found, Anomaly{"group-offset-regress", fmt.Sprintf("%s after %d, and nobody asked for it", what, highest), i})
	}
	if end := x.ends[e.partition()]; end != nil && e.Offset > end.HighWatermark {
		found = append(found, Anomaly{"group-offset-beyond-end", fmt.Sprintf("%s, whose high watermark is %d", what, end.HighWatermark), i})
	}
	return found
}

// pipelines compares what a pipeline wrote with what it read, as readers of
// committed data see both: etl-duplicate, etl-lost, etl-phantom, etl-order, and
// no-progress for input that it never came to.
func pipelines(x *index) (found []Anomaly) {
	final := finalPositions(x.history)
	for i := range x.history {
		if x.history[i].Kind == Pipeline {
			found = append(found, x.pipeline(&x.history[i], final)...)
		}
	}
	return found
}

func (x *index) pipeline(line *Event, final map[groupPartition]int64) (found []Anomaly) {
	made := make(map[string]bool)
	for _, p := range partitions(x.shown) {
		if p.topic != line.To {
			continue
		}
		newest := make(map[partition]int64) // of the input
		for _, i := range x.shown[p] {
			e := &x.history[i]
			from, ok := x.source(e.Source, line.Topic)
			switch {
			case !ok:
				found = append(found, Anomaly{"etl-phantom", fmt.Sprintf("%s was made from %q, which is not committed", e.place(), e.Source), i})
				continue
			case made[e.Source]:
				found = append(found, Anomaly{"etl-duplicate", fmt.Sprintf("%s was made from %s a second time", e.place(), e.Source), i})
				continue
			}
			made[e.Source] = true
			if before, ok := newest[from.partition]; ok && from.offset < before {
				found = append(found, Anomaly{"etl-order", fmt.Sprintf("%s was made from %s, behind one made from offset %d", e.place(), from, before), i})
			}
			newest[from.partition] = from.offset
		}
	}
	for _, p := range partitions(x.shown) {
		if p.topic != line.Topic {
			continue
		}
		position, ok := final[groupPartition{line.Group, p}]
		for _, i := range x.shown[p] {
			e := &x.history[i]
			if made[e.Value] {
				continue
			}
			name := "no-progress"
			if ok && e.Offset < position {
				name = "etl-lost"
			}
			found = append(found, Anomaly{name, fmt.Sprintf("nothing was made from %s at %s; group %s is at %d", e.Value, e.place(), line.Group, position), i})
		}
	}
	return found
}

// source finds a committed record of a topic by its value.
func (x *index) source(value, topic string) (place, bool) {
	for _, i := range x.view[value] {
		if e := &x.history[i]; e.Topic == topic {
			return e.place(), true
		}
	}
	return place{}, false
}
