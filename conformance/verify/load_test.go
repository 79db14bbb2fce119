package verify

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	brokers  = flag.String("brokers", "", "where TestBrokers puts its load: host:port,...")
	settle   = flag.Duration("settle", time.Second, "how long after its timeout TestBrokers may still see a transaction; Apache Kafka looks every 10s")
	duration = flag.Duration("duration", 10*time.Second, "how long TestBrokers keeps it up")
)

// TestBrokers loads a broker that is there already, such as Apache Kafka, and
// judges what it told. Whoever runs it may kill and restart the broker meanwhile.
func TestBrokers(t *testing.T) {
	if *brokers == "" {
		t.Skip("wants -brokers host:port")
	}
	r := NewRecorder()
	r.Add(Event{Kind: Round})
	load, err := Start(t.Context(), r, Options{
		Brokers: strings.Split(*brokers, ","), TransactionTimeout: 2 * time.Second, Settle: *settle,
		Seed: 1, Name: fmt.Sprint("verify-", time.Now().Unix()),
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(*duration) // the load's own time
	if err := load.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	verdict := Judge(r.History(), Floors{Acked: 100, Ended: 20, Committed: 10, Aborted: 5, Transformed: 10, Read: 200, Positions: 5, Grants: 10})
	for _, a := range verdict.Anomalies {
		t.Error(a)
	}
	for _, floor := range verdict.Missed {
		t.Errorf("inconclusive: %s", floor)
	}
	t.Logf("%+v", verdict.Figures)
}
