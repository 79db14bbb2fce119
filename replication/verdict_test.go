package replication

import "testing"

// What a replica on node 2 of the voters 1, 2 and 3 makes of the others' words.
func TestVerdict(t *testing.T) {
	open := func(leader int32, index uint64) word {
		return word{open: true, votes: true, leader: leader, epoch: 3, term: 3, index: index}
	}
	leads := func(epoch int32) word {
		return word{open: true, votes: true, leader: 1, epoch: epoch, ready: true, term: 3, index: 5}
	}
	none := verdict{leader: -1, epoch: -1}
	for name, c := range map[string]struct {
		believed int32
		words    map[int32]word
		dead     int32
		want     verdict
	}{
		"a leader's own word counts":                     {-1, map[int32]word{1: leads(4), 3: open(-1, 5)}, 0, verdict{leader: 1, epoch: 4}},
		"a leader that does not serve yet is waited for": {-1, map[int32]word{1: open(1, 5), 3: open(-1, 5)}, 0, none},
		"nobody else has it open":                        {-1, map[int32]word{1: {leader: -1}, 3: {leader: -1}}, 0, none},
		"nobody answers":                                 {-1, nil, 0, none},
		"a majority knows none":                          {-1, map[int32]word{3: open(-1, 5)}, 1, verdict{leader: -1, epoch: -1, elect: true}},
		"another knows a leader that says nothing":       {-1, map[int32]word{3: open(1, 5)}, 0, none},
		"another knows a leader that denies it":          {-1, map[int32]word{1: open(-1, 4), 3: open(1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true}},
		"another takes this one for the leader":          {-1, map[int32]word{3: open(2, 5)}, 1, verdict{leader: -1, epoch: -1, elect: true}},
		"the leader denies it":                           {1, map[int32]word{1: open(-1, 4), 3: open(1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true, denied: true}},
		"the leader has closed it":                       {1, map[int32]word{1: {leader: -1}, 3: open(1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true, denied: true, rank: 1}},
		"the preferred stands first":                     {-1, map[int32]word{1: open(-1, 5), 3: open(-1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true, rank: 1}},
		"the preferred has not said what it holds":       {-1, map[int32]word{3: open(-1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true, rank: 1}},
		"the preferred is behind":                        {-1, map[int32]word{1: open(-1, 4), 3: open(-1, 5)}, 0, verdict{leader: -1, epoch: -1, elect: true}},
		"another gives no vote":                          {-1, map[int32]word{3: {open: true, leader: -1, term: 3, index: 5}}, 1, none},
		"who holds more stands first":                    {-1, map[int32]word{3: open(-1, 6)}, 1, verdict{leader: -1, epoch: -1, elect: true, rank: 1}},
	} {
		q := &poll{voters: []int32{1, 2, 3}, words: c.words, own: open(-1, 5), believed: c.believed}
		if got := q.judge(2, func(node int32) bool { return node != c.dead }); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A word travels whole.
func TestWordTravels(t *testing.T) {
	for _, w := range []word{{leader: -1, epoch: -1}, {open: true, leader: 3, epoch: 7, votes: true, ready: true, term: 1 << 40, index: 1 << 50}} {
		if b := w.put(nil); len(b) != wordSize || wordOf(b) != w {
			t.Errorf("%+v came as %+v in %d bytes", w, wordOf(b), len(b))
		}
	}
}
