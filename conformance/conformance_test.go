package conformance

import (
	"flag"
	"strings"
	"testing"
)

var (
	brokersFlag = flag.String("brokers", "", "judge the brokers at these addresses (host:port, comma between)")
	remoteFlag  = flag.Bool("yes-this-cluster", false, "judge a target that is not on this machine")
	onlyFlag    = flag.String("only", "", "ids of cases or their beginnings, comma between")
)

// TestConformance runs each case as a subtest named by its id, several at a
// time as -parallel says.
func TestConformance(t *testing.T) {
	if *brokersFlag == "" {
		t.Skip("no target: go test ./conformance -args -brokers host:port")
	}
	o := Options{Brokers: strings.Split(*brokersFlag, ","), AllowRemote: *remoteFlag}
	if *onlyFlag != "" {
		o.Filter = strings.Split(*onlyFlag, ",")
	}
	cases, err := Select(Cases(), o.Filter)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r := s.judge(t.Context(), c)
			switch r.Verdict {
			case Fail:
				t.Error("\n" + r.Text(o.Brokers))
			case Note:
				t.Log("\n" + r.Text(o.Brokers))
			case Skip:
				t.Skip(r.Reason)
			}
		})
	}
}
