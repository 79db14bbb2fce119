package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// balances wants the money of all accounts to add up to what it was, nothing, for
// every reader of committed data once it has seen all: bank-imbalance. Between
// that a reader may see half of a transfer: the last stable offsets of two
// partitions do not move at once.
func balances(x *index) (found []Anomaly) {
	books := make(map[string]map[string]int64) // by reader, by account
	last := make(map[string]int)
	var readers []string
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != View && (e.Kind != Read || !e.Stable) {
			continue
		}
		sent, ok := x.sent[e.Value]
		if !ok || x.history[sent].Account == "" {
			continue
		}
		reader := e.Process
		if e.Kind == View {
			reader = "the committed view"
		}
		if books[reader] == nil {
			books[reader] = make(map[string]int64)
			readers = append(readers, reader)
		}
		books[reader][x.history[sent].Account] += x.history[sent].Amount
		last[reader] = i
	}
	for _, reader := range readers {
		total := int64(0)
		for _, money := range books[reader] {
			total += money
		}
		if total == 0 {
			continue
		}
		var accounts []string
		for _, name := range slices.Sorted(maps.Keys(books[reader])) {
			accounts = append(accounts, fmt.Sprintf("%s %+d", name, books[reader][name]))
		}
		found = append(found, Anomaly{"bank-imbalance", fmt.Sprintf("%s adds up to %+d, want 0: %s", reader, total, strings.Join(accounts, ", ")), last[reader]})
	}
	return found
}

// polls compares what transactions read with the committed view: vanished,
// nonmonotonic-poll, poll-skip. Sessions begin anywhere and need not come to the end.
func polls(x *index) (found []Anomaly) {
	type following struct {
		session string
		partition
	}
	newest := make(map[following]int64)
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != Poll {
			continue
		}
		if at, ok := x.at[e.place()]; !ok || x.history[at].Value != e.Value {
			found = append(found, Anomaly{"vanished", fmt.Sprintf("%s read %q at %s, which is not there any more", e.Txn, e.Value, e.place()), i})
		}
		who := following{e.Process, e.partition()}
		before, began := newest[who]
		if began && e.Offset <= before {
			found = append(found, Anomaly{"nonmonotonic-poll", fmt.Sprintf("%s read %s after offset %d", e.Txn, e.place(), before), i})
		} else if began {
			for _, j := range x.between(e.partition(), before, e.Offset) {
				found = append(found, Anomaly{"poll-skip", fmt.Sprintf("%s read %s after offset %d, and never %q at %d", e.Txn, e.place(), before, x.history[j].Value, x.history[j].Offset), i})
			}
		}
		newest[who] = max(before, e.Offset)
	}
	return found
}

// between are the records of the committed view between two offsets of a partition.
func (x *index) between(p partition, after, before int64) []int {
	find := func(offset int64) int {
		n, _ := slices.BinarySearchFunc(x.shown[p], offset, func(i int, o int64) int { return int(x.history[i].Offset - o) })
		return n
	}
	from, to := find(after+1), find(before)
	return x.shown[p][from:max(from, to)]
}
