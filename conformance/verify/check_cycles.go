package verify

import (
	"fmt"
	"slices"
	"strings"
)

// A graph has committed transactions for nodes, and an edge from one to another
// that has to be after it.
type graph struct {
	names []string
	edges map[string]map[string]string // from, to: why
}

func (g *graph) add(from, to, why string) {
	if from == "" || to == "" || from == to {
		return
	}
	for _, name := range []string{from, to} {
		if g.edges[name] == nil {
			g.edges[name] = make(map[string]string)
			g.names = append(g.names, name)
		}
	}
	if g.edges[from][to] == "" {
		g.edges[from][to] = why
	}
}

// writesReads has an edge to each committed transaction from those whose records it
// read (wr).
func (x *index) writesReads(g *graph) {
	for i := range x.history {
		e := &x.history[i]
		if e.Kind != Poll || !x.committed(e.Txn) {
			continue
		}
		if sent, ok := x.sent[e.Value]; ok {
			g.add(x.history[sent].Txn, e.Txn, fmt.Sprintf("read %s of it", e.place()))
		}
	}
}

// writesWrites has an edge between committed transactions whose records are
// neighbours in a partition's committed view (ww).
func (x *index) writesWrites(g *graph) {
	for _, p := range partitions(x.shown) {
		before := ""
		for _, i := range x.shown[p] {
			sent, ok := x.sent[x.history[i].Value]
			if !ok {
				continue
			}
			name := x.history[sent].Txn
			g.add(before, name, fmt.Sprintf("wrote %s behind it", x.history[i].place()))
			before = name
		}
	}
}

// committed says that a transaction is known to be committed, or seen to be.
func (x *index) committed(name string) bool {
	t := x.txns[name]
	return t != nil && (t.told(true) || slices.ContainsFunc(t.sends, func(i int) bool { return len(x.view[x.history[i].Value]) > 0 }))
}

// circularReads finds committed transactions each of which read what the next one
// wrote, in a circle: G1c-circular-information-flow. With only committed data to
// read, one of them was read before it was committed.
func circularReads(x *index) []Anomaly {
	g := &graph{edges: make(map[string]map[string]string)}
	x.writesReads(g)
	return x.cycles(g, "G1c-circular-information-flow")
}

// allowedCycles finds the cycles that Kafka allows: records of transactions that run
// at the same time lie in one order in one partition and in another order in the
// next (G0), and with reads between them (G1c). Transactions of Kafka are atomic, not
// isolated from each other's writes; so Jepsen takes them for information, too.
func allowedCycles(x *index) []Anomaly {
	g := &graph{edges: make(map[string]map[string]string)}
	x.writesWrites(g)
	all := x.cycles(g, "G0-write-cycle")
	x.writesReads(g)
	return append(all, x.cycles(g, "G1c-with-write-order")...)
}

// cycles names one shortest cycle of each set of transactions that all lie behind each
// other.
func (x *index) cycles(g *graph, name string) (found []Anomaly) {
	for _, set := range g.components() {
		steps := g.shortest(set)
		found = append(found, Anomaly{name, fmt.Sprintf("%d transactions lie behind each other, such as %s", len(set), strings.Join(steps, ", ")), x.txns[set[0]].first()})
	}
	return found
}

// first is where a transaction begins.
func (t *transaction) first() int {
	if len(t.sends) > 0 {
		return t.sends[0]
	}
	return max(t.asked, t.ended, 0)
}

// components are the strongly connected components of more than one node, by
// Tarjan's algorithm with a stack of its own: paths are as long as histories.
func (g *graph) components() (all [][]string) {
	type frame struct {
		node string
		next []string
	}
	number, low, on := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var calls []frame
	enter := func(node string) {
		number[node] = len(number) + 1
		low[node], on[node] = number[node], true
		stack = append(stack, node)
		calls = append(calls, frame{node, g.after(node)})
	}
	for _, root := range g.names {
		if number[root] == 0 {
			enter(root)
		}
		for len(calls) > 0 {
			f := &calls[len(calls)-1]
			if len(f.next) > 0 {
				to := f.next[0]
				f.next = f.next[1:]
				if number[to] == 0 {
					enter(to)
				} else if on[to] {
					low[f.node] = min(low[f.node], number[to])
				}
				continue
			}
			node := f.node
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				caller := calls[len(calls)-1].node
				low[caller] = min(low[caller], low[node])
			}
			if low[node] < number[node] {
				continue
			}
			var set []string
			for done := false; !done; done = set[len(set)-1] == node {
				set = append(set, stack[len(stack)-1])
				stack = stack[:len(stack)-1]
				on[set[len(set)-1]] = false
			}
			slices.Reverse(set)
			if len(set) > 1 {
				all = append(all, set)
			}
		}
	}
	return all
}

// after are the nodes that edges of one lead to, in an order of their own.
func (g *graph) after(node string) []string {
	var all []string
	for to := range g.edges[node] {
		all = append(all, to)
	}
	slices.Sort(all)
	return all
}

// shortest is a shortest cycle through the first of a component, step by step.
func (g *graph) shortest(set []string) (steps []string) {
	start := set[0]
	within := make(map[string]bool, len(set))
	for _, node := range set {
		within[node] = true
	}
	from, queue := map[string]string{}, []string{start}
	for len(queue) > 0 {
		node := queue[0]
		queue = queue[1:]
		for _, to := range g.after(node) {
			if _, seen := from[to]; seen || !within[to] {
				continue
			}
			from[to] = node
			queue = append(queue, to)
		}
		if from[start] != "" {
			break
		}
	}
	for node := start; ; {
		before := from[node]
		steps = append(steps, fmt.Sprintf("%s %s (%s)", node, g.edges[before][node], before))
		if node = before; node == start || node == "" {
			break
		}
	}
	slices.Reverse(steps)
	return steps
}
