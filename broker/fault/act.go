package fault

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Act is what a rule does, by its name in a rule.
type Act string

// What can be done to a request where it passes by.
const (
	// Drop loses the request before it reaches the broker.
	Drop Act = "drop"
	// LoseAnswer lets the broker carry the request out and loses what it says.
	LoseAnswer Act = "lose-answer"
	// Duplicate sends the same bytes once more, later and on a new connection.
	Duplicate Act = "duplicate"
	// Delay holds the request, or its answer, for a while.
	Delay Act = "delay"
	// Reorder holds the request until others have overtaken it.
	Reorder Act = "reorder"
	// Close ends the connection when the request has been passed on, so that nobody
	// knows what became of it, or in the middle of its answer.
	Close Act = "close"
	// Error answers with an error code in the broker's stead, or over its answer.
	Error Act = "error"
)

// What can only be done within a broker.
const (
	HoldCoordinator Act = "hold-coordinator" // in PrepareCommit or PrepareAbort
	HoldMarkers     Act = "hold-markers"
	SlowDisk        Act = "slow-disk"
	FailDisk        Act = "fail-disk"
	Pause           Act = "pause"
	Isolate         Act = "isolate"
	Kill            Act = "kill"
	Clock           Act = "clock"
	BumpEpoch       Act = "bump-epoch"
	Expire          Act = "expire"
)

// kinds says of each act which keys it has beyond those that match and count.
var kinds = map[Act]struct {
	keys   []string
	inside bool
}{
	Drop:            {keys: []string{"then"}},
	LoseAnswer:      {keys: []string{"then"}},
	Duplicate:       {keys: []string{"after"}},
	Delay:           {keys: []string{"for", "at"}},
	Reorder:         {keys: []string{"behind", "for"}},
	Close:           {keys: []string{"at"}},
	Error:           {keys: []string{"code", "at"}},
	HoldCoordinator: {inside: true, keys: []string{"for"}},
	HoldMarkers:     {inside: true, keys: []string{"for"}},
	SlowDisk:        {inside: true, keys: []string{"for"}},
	FailDisk:        {inside: true},
	Pause:           {inside: true, keys: []string{"for"}},
	Isolate:         {inside: true, keys: []string{"for"}},
	Kill:            {inside: true},
	Clock:           {inside: true, keys: []string{"by"}},
	BumpEpoch:       {inside: true},
	Expire:          {inside: true},
}

// Inside says that the act needs the inside of an oncelog broker.
func (a Act) Inside() bool { return kinds[a].inside }

func actOf(name string) (Act, error) {
	if _, ok := kinds[Act(name)]; ok {
		return Act(name), nil
	}
	var all []string
	for _, a := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, string(a))
	}
	return "", fmt.Errorf("act %q, want one of %s", shorten(name), strings.Join(all, ", "))
}

// shorten keeps what a message quotes readable.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
