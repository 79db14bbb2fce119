package replication

import "slices"

// A verdict is what a replica makes of the words of the others.
type verdict struct {
	leader, epoch int32 // who leads by its own word and serves; -1: nobody said so
	elect         bool  // a majority has no leader and can elect one
	rank          int   // how many voters should stand before this replica
	denied        bool  // the leader that this replica believed in says that it is none
	forgive       bool  // this replica is forgetful, as are too many
	fresh         bool  // likewise, but none of the voters ever answered for anything
}

// judge decides about a group whose leader this replica doubts. expected says which
// nodes are there or may be coming. It changes nothing.
//
// A leader's own word is the only one that counts for it. A replica stands only
// with a majority that has the group open and knows of no leader either
// (hard-25): a kick skips raft's pre-vote and would depose one that is well.
func (q *poll) judge(self int32, expected func(int32) bool) verdict {
	v := verdict{leader: -1, epoch: -1}
	claimed := false
	for node, w := range q.words {
		if !w.open || w.leader != node {
			continue
		}
		claimed = true
		if w.ready && w.epoch > v.epoch {
			v.leader, v.epoch = node, w.epoch
		}
	}
	v.denied = q.denies(q.believed)
	if claimed {
		return v
	}
	if !q.own.votes {
		if q.own.forgot {
			v.forgive, v.fresh = q.forgives()
		}
		return v
	}
	agree := 1
	for _, w := range q.words {
		if w.votes && (w.leader < 0 || w.leader == self || q.denies(w.leader)) {
			agree++
		}
	}
	if v.elect = agree > len(q.voters)/2; v.elect {
		v.rank = q.rank(self, expected)
	}
	return v
}

// denies says whether a node has said that it does not lead.
func (q *poll) denies(node int32) bool {
	w, said := q.words[node]
	return said && (!w.open || w.leader != node)
}

// rank counts the voters that should stand before this one: those that hold
// more, and of those that hold as much, or have not said so yet, the preferred.
func (q *poll) rank(self int32, expected func(int32) bool) (rank int) {
	own := q.own
	place := slices.Index(q.voters, self)
	for i, node := range q.voters {
		if node == self || !expected(node) {
			continue
		}
		w := q.words[node]
		equal := w.term == own.term && w.index == own.index
		switch {
		case w.open && (w.term > own.term || w.term == own.term && w.index > own.index):
			rank++
		case i < place && (!w.open || equal):
			rank++
		}
	}
	return rank
}
