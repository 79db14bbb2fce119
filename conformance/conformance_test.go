package conformance

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var (
	brokersFlag = flag.String("brokers", "", "judge the brokers at these addresses (host:port, comma between)")
	remoteFlag  = flag.Bool("yes-this-cluster", false, "judge a target that is not on this machine")
	onlyFlag    = flag.String("only", "", "ids of cases or their beginnings, comma between")
	expectFlag  = flag.String("expect", "", "file of the ids that are known to fail on this target")
	strictFlag  = flag.Bool("strict", false, "a difference in a SHOULD case fails")
)

// flagged is the target and the cases that the flags ask for.
func flagged(t *testing.T) (*suite, []Case) {
	t.Helper()
	if *brokersFlag == "" {
		t.Skip("no target: go test ./conformance -args -brokers host:port")
	}
	config := Config{Brokers: strings.Split(*brokersFlag, ","), AllowRemote: *remoteFlag, Strict: *strictFlag, Destructive: true}
	if *onlyFlag != "" {
		config.Filter = strings.Split(*onlyFlag, ",")
	}
	if *expectFlag != "" {
		file, err := os.Open(*expectFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if config.Expect, err = ParseExpect(file); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := Select(Cases(), config.Filter)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s, cases
}

// check judges one case as a test.
func (s *suite) check(t *testing.T, c Case) {
	r, _ := s.judge(t.Context(), c)
	switch {
	case r.Verdict.bad():
		t.Error("\n" + r.Text(s.config.Brokers))
	case r.Verdict == Skip:
		t.Skip(r.Reason)
	case r.Verdict != Pass:
		t.Log("\n" + r.Text(s.config.Brokers))
	}
}

// TestConformance runs each case as a subtest named by its id, several at a
// time as -parallel says.
func TestConformance(t *testing.T) {
	s, cases := flagged(t)
	for _, c := range cases {
		if c.Destructive {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			if !c.Alone { // those that are alone run before all that are parallel
				t.Parallel()
			}
			s.check(t, c)
		})
	}
}

// TestDestructive runs the cases that a weak broker does not survive.
func TestDestructive(t *testing.T) {
	s, cases := flagged(t)
	for _, c := range cases {
		if c.Destructive {
			t.Run(c.ID, func(t *testing.T) { s.check(t, c) })
		}
	}
}
