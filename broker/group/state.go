package group

import "slices"

// A State is a state of a classic group, as DescribeGroups and ListGroups name
// it. Source: ClassicGroupState.
type State int8

// States of a classic group.
const (
	Empty               State = iota // no members; there may be offsets
	PreparingRebalance               // members are asked to join again
	CompletingRebalance              // everyone joined; the leader's assignment is awaited
	Stable                           // every member has its assignment
	Dead                             // deleted, or this node no longer coordinates it
)

// from lists, for each state, the states it may be entered from.
var from = [...][]State{
	Empty:               {PreparingRebalance},
	PreparingRebalance:  {Stable, CompletingRebalance, Empty},
	CompletingRebalance: {PreparingRebalance},
	Stable:              {CompletingRebalance},
	Dead:                {Stable, PreparingRebalance, CompletingRebalance, Empty, Dead},
}

// mayEnter says whether a group in state s may move to state to.
func (s State) mayEnter(to State) bool { return slices.Contains(from[to], s) }

// String is the name on the wire.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case PreparingRebalance:
		return "PreparingRebalance"
	case CompletingRebalance:
		return "CompletingRebalance"
	case Stable:
		return "Stable"
	default:
		return "Dead"
	}
}
