package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Config says what to judge and how.
type Config struct {
	Brokers     []string          // host:port of the target; the first that answers is asked
	Filter      []string          // ids or their beginnings; none: every case
	Shard       Shard             // the part of the selected cases to run; zero: all
	Destructive bool              // run the cases that a weak broker does not survive, too
	AllowRemote bool              // judge a target that is not on this machine
	Strict      bool              // a difference in a SHOULD case fails
	Expect      map[string]string // why a case is known to fail on this target, by id
	Parallel    int               // cases at a time; 0: one
	Repeat      int               // how often each case is run; 0: once
	Seed        uint64            // shuffles the order of the cases; 0: as listed
	Timeout     time.Duration     // of one case; 0: 60 s
	Start       string            // shell command that starts the target where none answers; it is stopped in the end
	Traces      string            // folder that gets one for each case that differs, with all that was sent and answered; "": none
	Progress    io.Writer         // gets the head, a line per case and the summary; nil: nothing
	Status      io.Writer         // a terminal: one line that is written again and again; nil: none
}

// ErrConfig says that a Config cannot be meant so.
var ErrConfig = errors.New("configuration")

// check refuses what cannot be meant.
func (c Config) check() error {
	known := map[string]bool{}
	for _, one := range Cases() {
		known[one.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(c.Expect)) {
		if !known[id] {
			return fmt.Errorf("%w: %q is expected to fail, and no case has that id", ErrConfig, id)
		}
	}
	if c.Shard.Count < 0 || c.Shard.Count > 0 && (c.Shard.Index < 1 || c.Shard.Index > c.Shard.Count) {
		return fmt.Errorf("%w: shard %d of %d", ErrConfig, c.Shard.Index, c.Shard.Count)
	}
	return nil
}

// A Shard is one of Count equal parts of the cases, counted from 1.
type Shard struct{ Index, Count int }

// ParseShard reads "i/n".
func ParseShard(s string) (Shard, error) {
	index, count, ok := strings.Cut(s, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if !ok || err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("%w: shard %q, want i/n such as 2/4", ErrConfig, s)
	}
	return Shard{i, n}, nil
}

// of is the part of the cases that belongs to the shard: every Count-th.
func (s Shard) of(cases []Case) []Case {
	if s.Count == 0 {
		return cases
	}
	var part []Case
	for i := s.Index - 1; i < len(cases); i += s.Count {
		part = append(part, cases[i])
	}
	return part
}

// ParseExpect reads the list of the cases that are known to fail: an id a line
// and, after a #, why. Lines that are empty or only a comment count nothing.
func ParseExpect(r io.Reader) (map[string]string, error) {
	expect := map[string]string{}
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		id, why, _ := strings.Cut(scan.Text(), "#")
		if id = strings.TrimSpace(id); id == "" {
			continue
		}
		if _, twice := expect[id]; twice {
			return nil, fmt.Errorf("%w: %s is listed twice", ErrConfig, id)
		}
		expect[id] = strings.TrimSpace(why)
	}
	return expect, scan.Err()
}
