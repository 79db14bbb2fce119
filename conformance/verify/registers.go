package verify

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// registerTime bounds the search of one register. One that takes longer is not
// judged; the other checks of committed offsets take no search.
const registerTime = 10 * time.Second

// A registerInput is what is done to a committed offset: it is set, or asked for.
type registerInput struct {
	set    bool
	offset int64
}

// register is the model of a group's committed offset of one partition: what is read
// is what was written last.
var register = porcupine.Model{
	Init: func() any { return int64(-1) },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(registerInput); in.set {
			return true, in.offset
		}
		return output.(int64) == state.(int64), state
	},
	DescribeOperation: func(input, output any) string {
		if in := input.(registerInput); in.set {
			return fmt.Sprintf("commit %d", in.offset)
		}
		return fmt.Sprintf("fetch: %d", output)
	},
}

// operations are what was done to each committed offset, as operations of a register.
// Time is the position in the history. A commit of which nobody was told may come
// at any time after, and counts only if its offset is ever read: else it changes
// nothing. That of a transaction comes between the asking for the transaction's end
// and the answer: who asks for stable offsets is told none in between (KIP-447).
func (x *index) operations() map[groupPartition][]porcupine.Operation {
	all := make(map[groupPartition][]porcupine.Operation)
	clients := make(map[string]int)
	add := func(e *Event, in registerInput, call, answered int) {
		if _, known := clients[e.Process]; !known {
			clients[e.Process] = len(clients)
		}
		all[e.groupPartition()] = append(all[e.groupPartition()], porcupine.Operation{
			ClientId: clients[e.Process], Input: in, Call: int64(call), Output: e.Offset, Return: int64(answered)})
	}
	type commit struct {
		groupPartition
		process string
		offset  int64
	}
	pending := make(map[commit]int)
	for i := range x.history {
		e := &x.history[i]
		asked := commit{e.groupPartition(), e.Process, e.Offset}
		switch e.Kind {
		case Commit:
			if at, again := pending[asked]; again {
				add(e, registerInput{true, e.Offset}, at, math.MaxInt)
			}
			pending[asked] = i
		case Committed:
			if at, ok := pending[asked]; ok {
				add(e, registerInput{true, e.Offset}, at, i)
				delete(pending, asked)
			}
		case Position:
			add(e, registerInput{}, min(e.Since, i), i)
		case Include:
			t := x.txns[e.Txn]
			if t.asked < 0 || !t.commit || t.told(false) {
				continue
			}
			answered := math.MaxInt
			if t.ended >= 0 {
				answered = t.ended
			}
			add(e, registerInput{true, e.Offset}, t.asked, answered)
		}
	}
	for asked, at := range pending {
		add(&Event{Process: asked.process, Group: asked.group, Topic: asked.topic, Partition: asked.index, Offset: asked.offset}, registerInput{true, asked.offset}, at, math.MaxInt)
	}
	for p, operations := range all {
		all[p] = withoutIdle(operations)
	}
	return all
}

// withoutIdle leaves the commits out that nobody was told of and whose offset nobody
// read. They make no difference, and each doubles the work of a search.
func withoutIdle(operations []porcupine.Operation) []porcupine.Operation {
	read := make(map[int64]bool)
	for _, o := range operations {
		if !o.Input.(registerInput).set {
			read[o.Output.(int64)] = true
		}
	}
	operations = slices.DeleteFunc(operations, func(o porcupine.Operation) bool {
		in := o.Input.(registerInput)
		return in.set && o.Return == math.MaxInt && !read[in.offset]
	})
	slices.SortStableFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return operations
}

// registers wants each committed offset to behave as one register that all clients
// share: group-offset-nonlinearizable. The order in which commits and answers
// could have happened is searched for by porcupine.
func registers(x *index) (found []Anomaly) {
	all := x.operations()
	for _, p := range groupPartitions(all) {
		if porcupine.CheckOperationsTimeout(register, all[p], registerTime) == porcupine.Illegal {
			found = append(found, Anomaly{"group-offset-nonlinearizable", fmt.Sprintf("no order of the %d commits and answers explains what group %s was told of %s",
				len(all[p]), p.group, p.partition), int(all[p][0].Call)})
		}
	}
	return found
}

func groupPartitions[V any](m map[groupPartition]V) []groupPartition {
	all := make([]groupPartition, 0, len(m))
	for p := range m {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b groupPartition) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	return all
}

// ViewRegisters draws what was done to one committed offset as an HTML page: the
// first that no order explains, or else the one to which most was done. It says which.
func ViewRegisters(w io.Writer, h History) (string, error) {
	all := newIndex(h).operations()
	var best groupPartition
	var info porcupine.LinearizationInfo
	most := 0
	for _, p := range groupPartitions(all) {
		result, searched := porcupine.CheckOperationsVerbose(register, all[p], registerTime)
		if result == porcupine.Illegal {
			best, info = p, searched
			break
		}
		if len(all[p]) > most {
			best, info, most = p, searched, len(all[p])
		}
	}
	if best.group == "" {
		return "", fmt.Errorf("the history has no committed offset, want commit, include or position events")
	}
	return fmt.Sprintf("group %s, %s", best.group, best.partition), porcupine.Visualize(register, info, w)
}
